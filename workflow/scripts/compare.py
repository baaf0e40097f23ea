"""Draw the methods' images of one group side by side."""

from fairdream.reporting.contact_sheets import compare
from fairdream.runtime.job import run

run(
    compare,
    snakemake,
    split=snakemake.input.split,
    selections=list(snakemake.input.selections),
    titles=snakemake.params.cfg["titles"],
    figure=snakemake.output.figure,
    group=snakemake.wildcards.group,
    columns=snakemake.params.cfg["columns"],
)
