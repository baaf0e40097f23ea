"""Keep a part of the training images from stage 1."""

from fairdream.data.hold_back import hold_back
from fairdream.runtime.job import run

run(
    hold_back,
    snakemake,
    split=snakemake.input.split,
    part=snakemake.output.split,
    share=snakemake.params.cfg["share"],
    seed=snakemake.params.cfg["seed"],
)
