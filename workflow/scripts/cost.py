"""Write Table 3."""

from fairdream.cost import CostJob, cost
from fairdream.job import run

run(
    cost,
    log=snakemake.log[0],
    threads=snakemake.threads,
    metrics=list(snakemake.input.metrics),
    csv=snakemake.output.csv,
    markdown=snakemake.output.markdown,
    config=CostJob(**snakemake.params.cfg),
)
