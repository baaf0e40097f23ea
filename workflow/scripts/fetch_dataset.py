"""Fetch one data set from where its authors publish it."""

from fairdream.data.download import fetch_dataset
from fairdream.runtime.job import run

run(fetch_dataset, snakemake, receipt=snakemake.output.receipt, config=snakemake.params.cfg)
