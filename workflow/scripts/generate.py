"""Draw one shard of synthetic images."""

from fairdream.diffusion.generate import GenerateJob, generate
from fairdream.runtime.job import run

run(
    generate,
    snakemake,
    model=snakemake.input.model,
    adapter=snakemake.input.get("adapter"),
    images=snakemake.output.images,
    store=snakemake.resources.store,
    code=snakemake.params.code,
    group=snakemake.wildcards.group,
    subject=snakemake.wildcards.subject,
    shard=snakemake.wildcards.shard,
    batch_size=snakemake.resources.batch,
    config=GenerateJob(**snakemake.params.cfg),
)
