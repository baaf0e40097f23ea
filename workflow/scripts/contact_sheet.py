"""Draw a contact sheet."""

from fairdream.reporting.contact_sheets import contact_sheet
from fairdream.runtime.job import run

run(
    contact_sheet,
    snakemake,
    split=snakemake.input.split,
    selected=snakemake.input.selected,
    figure=snakemake.output.figure,
    columns=snakemake.params.cfg["columns"],
)
