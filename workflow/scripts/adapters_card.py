"""Write the card of a method's adapters."""

from fairdream.cards import AdaptersCardJob, adapters_card
from fairdream.job import run

run(
    adapters_card,
    snakemake,
    adapters=list(snakemake.input.adapters),
    card=snakemake.output.card,
    config=AdaptersCardJob(**snakemake.params.cfg),
)
