"""Read the authors' tables and open every image once."""

from fairdream.dataset import Source
from fairdream.index import index
from fairdream.job import run

run(
    index,
    snakemake,
    manifest=snakemake.input.manifest,
    index=snakemake.output.index,
    config=Source(**snakemake.params.cfg["source"]),
    seed=snakemake.params.cfg["seed"],
)
