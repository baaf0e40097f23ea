"""Choose which images each adapter learns."""

from fairdream.job import run
from fairdream.subjects import subjects

run(
    subjects,
    snakemake,
    split=snakemake.input.split,
    embeddings=snakemake.input.get("embeddings"),
    index=snakemake.output.index,
    **snakemake.params.cfg,
)
