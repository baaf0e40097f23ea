"""Draw a contact sheet."""

from fairdream.job import run
from fairdream.plot import contact_sheet

run(
    contact_sheet,
    snakemake,
    split=snakemake.input.split,
    selected=snakemake.input.selected,
    figure=snakemake.output.figure,
    columns=snakemake.params.cfg["columns"],
)
