"""Embed the training images with CLIP."""

from fairdream.config.models import ClipModel
from fairdream.data.embed import embed
from fairdream.runtime.job import run

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
