"""Fetch one model, or check a local one, and write the manifest of its files."""

from fairdream.fetch_model import fetch_model
from fairdream.job import run

run(
    fetch_model,
    log=snakemake.log[0],
    threads=snakemake.threads,
    manifest=snakemake.output.manifest,
    role=snakemake.wildcards.role,
    config=snakemake.params.cfg,
)
