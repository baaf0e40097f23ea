"""Write the card of a method's images."""

from fairdream.reporting.cards import ImagesCardJob, images_card
from fairdream.runtime.job import run

run(
    images_card,
    snakemake,
    shards=list(snakemake.input.shards),
    card=snakemake.output.card,
    config=ImagesCardJob(**snakemake.params.cfg),
)
