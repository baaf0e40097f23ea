"""Choose the training set of one bias."""

from fairdream.job import run
from fairdream.split import split

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
