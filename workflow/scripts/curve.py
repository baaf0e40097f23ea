"""Draw a figure from a table."""

from fairdream import curves
from fairdream.job import run

run(
    getattr(curves, snakemake.rule),
    snakemake,
    table=snakemake.input.table,
    figure=snakemake.output.figure,
)
