"""Draw a figure from a table."""

from fairdream import curves
from fairdream.job import run

run(
    getattr(curves, snakemake.rule),
    log=snakemake.log[0],
    threads=snakemake.threads,
    table=snakemake.input.table,
    figure=snakemake.output.figure,
)
