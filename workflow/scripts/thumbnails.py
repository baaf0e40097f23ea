"""Make thumbnails of the training images."""

from fairdream.curation.thumbnails import thumbnails
from fairdream.runtime.job import run

run(
    thumbnails,
    snakemake,
    index=snakemake.input.index,
    thumbnails=snakemake.output.thumbnails,
)
