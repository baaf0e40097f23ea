"""Find near copies of training images."""

from fairdream.curation.near_copies import CopiesJob, copies
from fairdream.runtime.job import run

run(
    copies,
    snakemake,
    split=snakemake.input.split,
    embeddings=snakemake.input.embeddings,
    thumbnails=snakemake.input.thumbnails,
    images=list(snakemake.input.images),
    scores=list(snakemake.input.scores),
    copies=snakemake.output.copies,
    config=CopiesJob(**snakemake.params.cfg),
)
