"""Draw a figure from a table."""

from fairdream.reporting import figures
from fairdream.runtime.job import run

run(
    getattr(figures, snakemake.rule),
    snakemake,
    table=snakemake.input.table,
    figure=snakemake.output.figure,
)
