"""Write bootstrap intervals of the worst-group accuracies."""

from fairdream.job import run
from fairdream.uncertainty import UncertaintyJob, uncertainty

run(
    uncertainty,
    snakemake,
    predictions=list(snakemake.input.predictions),
    metrics=list(snakemake.input.metrics),
    csv=snakemake.output.csv,
    markdown=snakemake.output.markdown,
    config=UncertaintyJob(**snakemake.params.cfg),
)
