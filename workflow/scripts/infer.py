"""Infer the attribute of every image."""

from fairdream.data.infer import InferJob, infer
from fairdream.runtime.job import run

run(
    infer,
    snakemake,
    index=snakemake.input.index,
    embeddings=snakemake.input.embeddings,
    model=snakemake.input.get("model"),
    table=snakemake.output.table,
    facts=snakemake.output.facts,
    config=InferJob(**snakemake.params.cfg),
)
