"""Stage 1: train encoder and last layer."""

from fairdream.classification.pretrain import PretrainJob, pretrain
from fairdream.runtime.job import run

run(
    pretrain,
    snakemake,
    selected=snakemake.input.get("selected"),
    split=snakemake.input.get("split"),
    weights=snakemake.input.weights,
    stage1=snakemake.output.stage1,
    seed=int(snakemake.wildcards.seed),
    code=snakemake.params.code,
    config=PretrainJob(**snakemake.params.cfg),
)
