"""Embed the words of zero-shot classes."""

from fairdream.curation.text_embeddings import TextsJob, texts
from fairdream.runtime.job import run

run(
    texts,
    snakemake,
    model=snakemake.input.model,
    texts=snakemake.output.texts,
    config=TextsJob(**snakemake.params.cfg),
)
