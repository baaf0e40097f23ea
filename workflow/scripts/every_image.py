"""List all images, to embed them."""

from fairdream.data.every_image import every_image
from fairdream.runtime.job import run

run(every_image, snakemake, index=snakemake.input.index, images=snakemake.output.images)
