"""Compose the embedded data set."""

from pathlib import Path

from fairdream.demo.waterdigits import write_waterdigits
from fairdream.runtime.job import run

run(
    write_waterdigits,
    snakemake,
    folder=Path(snakemake.output.table).parent,
    seed=snakemake.params.cfg["seed"],
)
