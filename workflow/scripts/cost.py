"""Write Table 3."""

from fairdream.reporting.cost import CostJob, cost
from fairdream.runtime.job import run

run(
    cost,
    snakemake,
    metrics=list(snakemake.input.metrics),
    csv=snakemake.output.csv,
    markdown=snakemake.output.markdown,
    config=CostJob(**snakemake.params.cfg),
)
