"""Stage 2: apply a recipe and predict every real image."""

from fairdream.classification.retrain import RetrainJob, retrain
from fairdream.runtime.job import run

run(
    retrain,
    snakemake,
    stage1=snakemake.input.stage1,
    split=snakemake.input.split,
    weights=snakemake.output.weights,
    predictions=snakemake.output.predictions,
    seed=int(snakemake.wildcards.seed),
    code=snakemake.params.code,
    config=RetrainJob(**snakemake.params.cfg),
    selected=snakemake.input.get("selected"),
)
