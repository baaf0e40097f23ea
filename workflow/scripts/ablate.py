"""Write the table of ablations."""

from fairdream.ablate import AblateJob, ablate
from fairdream.job import run

run(
    ablate,
    snakemake,
    csv=snakemake.output.csv,
    markdown=snakemake.output.markdown,
    config=AblateJob(**snakemake.params.cfg),
)
