"""Select the images that stage 1 learns from."""

from fairdream.job import run
from fairdream.select import SelectJob, select

run(
    select,
    snakemake,
    images=list(snakemake.input.images),
    scores=list(snakemake.input.get("scores", [])),
    centroids=snakemake.input.get("centroids"),
    selected=snakemake.output.selected,
    config=SelectJob(**snakemake.params.cfg),
)
