"""Choose the training set of one bias."""

from fairdream.job import run
from fairdream.split import split

run(
    split,
    log=snakemake.log[0],
    threads=snakemake.threads,
    index=snakemake.input.index,
    split=snakemake.output.split,
    bias=snakemake.params.cfg["bias"],
    train_counts=snakemake.params.cfg["train_counts"],
    seed=snakemake.params.cfg["seed"],
)
