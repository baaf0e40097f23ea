"""Select images by CLIP score."""

from fairdream.job import run
from fairdream.select import SelectJob, select

run(
    select,
    log=snakemake.log[0],
    threads=snakemake.threads,
    images=list(snakemake.input.images),
    scores=list(snakemake.input.scores),
    centroids=snakemake.input.centroids,
    selected=snakemake.output.selected,
    config=SelectJob(**snakemake.params.cfg),
)
