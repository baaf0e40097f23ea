"""Write the table of ablations."""

from fairdream.reporting.ablate import AblateJob, ablate
from fairdream.runtime.job import run

run(
    ablate,
    snakemake,
    csv=snakemake.output.csv,
    markdown=snakemake.output.markdown,
    config=AblateJob(**snakemake.params.cfg),
)
