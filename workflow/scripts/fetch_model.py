"""Fetch one model, or check a local one, and write the manifest of its files."""

from fairdream.models.fetch_model import fetch_model
from fairdream.runtime.job import run

run(
    fetch_model,
    snakemake,
    manifest=snakemake.output.manifest,
    role=snakemake.wildcards.role,
    config=snakemake.params.cfg,
)
