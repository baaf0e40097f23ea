"""Choose the training set of one bias."""

from fairdream.data.split import split
from fairdream.runtime.job import run

run(
    split,
    snakemake,
    index=snakemake.input.index,
    own=snakemake.input.get("own"),
    split=snakemake.output.split,
    keep=snakemake.params.cfg["keep"],
    images=snakemake.params.cfg["images"],
    seed=snakemake.params.cfg["seed"],
)
