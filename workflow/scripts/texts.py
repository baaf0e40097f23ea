"""Embed the words of zero-shot classes."""

from fairdream.job import run
from fairdream.texts import TextsJob, texts

run(
    texts,
    snakemake,
    model=snakemake.input.model,
    texts=snakemake.output.texts,
    config=TextsJob(**snakemake.params.cfg),
)
