"""Draw what the adapters of a method learn."""

from fairdream.job import run
from fairdream.plot import clusters

run(
    clusters,
    snakemake,
    index=snakemake.input.index,
    figure=snakemake.output.figure,
    columns=snakemake.params.cfg["columns"],
)
