"""Write the card of a method's adapters."""

from fairdream.reporting.cards import AdaptersCardJob, adapters_card
from fairdream.runtime.job import run

run(
    adapters_card,
    snakemake,
    adapters=list(snakemake.input.adapters),
    card=snakemake.output.card,
    config=AdaptersCardJob(**snakemake.params.cfg),
)
