"""Choose which images each adapter learns."""

from fairdream.diffusion.subjects import subjects
from fairdream.runtime.job import run

run(
    subjects,
    snakemake,
    split=snakemake.input.split,
    embeddings=snakemake.input.get("embeddings"),
    index=snakemake.output.index,
    **snakemake.params.cfg,
)
