"""Embed the training images with CLIP."""

from fairdream.embed import embed
from fairdream.job import run
from fairdream.settings import ClipModel

run(
    embed,
    snakemake,
    index=snakemake.input.index,
    model=snakemake.input.model,
    embeddings=snakemake.output.embeddings,
    store=snakemake.resources.store,
    config=ClipModel(**snakemake.params.cfg),
    batch_size=snakemake.resources.batch,
)
