"""Train the adapter of one subject."""

from fairdream.diffusion.finetune import FinetuneJob, finetune
from fairdream.runtime import run_snapshot
from fairdream.runtime.job import run

run(
    finetune,
    snakemake,
    subject=snakemake.input.subject,
    model=snakemake.input.model,
    adapter=snakemake.output.adapter,
    history=snakemake.output.history,
    store=snakemake.resources.store,
    code=snakemake.params.code,
    config=FinetuneJob(**snakemake.params.cfg),
    mates=run_snapshot.mates(dict(snakemake.wildcards), snakemake.resources.mates),
    pool=snakemake.resources.pool,
)
