"""Draw what the adapters of a method learn."""

from fairdream.reporting.contact_sheets import clusters
from fairdream.runtime.job import run

run(
    clusters,
    snakemake,
    index=snakemake.input.index,
    figure=snakemake.output.figure,
    columns=snakemake.params.cfg["columns"],
)
