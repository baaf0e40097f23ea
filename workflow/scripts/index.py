"""Read the authors' tables and open every image once."""

from fairdream.config.datasets import Source
from fairdream.data.index import index
from fairdream.runtime.job import run

run(
    index,
    snakemake,
    manifest=snakemake.input.manifest,
    index=snakemake.output.index,
    config=Source(**snakemake.params.cfg["source"]),
    seed=snakemake.params.cfg["seed"],
)
