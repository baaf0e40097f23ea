"""Snakemake's `export`."""

from fairdream.classification.export import ExportJob, export
from fairdream.runtime.job import run

run(
    export,
    snakemake,
    weights=list(snakemake.input.weights),
    metrics=list(snakemake.input.metrics),
    model=snakemake.output.model,
    settings=snakemake.output.settings,
    card=snakemake.output.card,
    config=ExportJob(**snakemake.params.cfg),
)
