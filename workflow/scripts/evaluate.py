"""Turn predictions into metrics."""

from fairdream.classification.evaluate import evaluate
from fairdream.runtime.job import run

run(
    evaluate,
    snakemake,
    predictions=snakemake.input.predictions,
    metrics=snakemake.output.metrics,
    names=snakemake.params.cfg["names"],
    train_counts=snakemake.params.cfg["train_counts"],
)
