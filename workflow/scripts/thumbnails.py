"""Make thumbnails of the training images."""

from fairdream.job import run
from fairdream.thumbnails import thumbnails

run(
    thumbnails,
    snakemake,
    index=snakemake.input.index,
    thumbnails=snakemake.output.thumbnails,
)
