"""Write bootstrap intervals of the worst-group accuracies."""

from fairdream.reporting.uncertainty import UncertaintyJob, uncertainty
from fairdream.runtime.job import run

run(
    uncertainty,
    snakemake,
    predictions=list(snakemake.input.predictions),
    metrics=list(snakemake.input.metrics),
    csv=snakemake.output.csv,
    markdown=snakemake.output.markdown,
    config=UncertaintyJob(**snakemake.params.cfg),
)
