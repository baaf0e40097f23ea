"""Select the images that stage 1 learns from."""

from fairdream.curation.select import SelectJob, select
from fairdream.runtime.job import run

run(
    select,
    snakemake,
    images=list(snakemake.input.images),
    scores=list(snakemake.input.get("scores", [])),
    centroids=snakemake.input.get("centroids"),
    selected=snakemake.output.selected,
    config=SelectJob(**snakemake.params.cfg),
)
