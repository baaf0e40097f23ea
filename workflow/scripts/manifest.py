"""Write the manifest of a data set's files."""

from fairdream.config.datasets import Source
from fairdream.data.manifest import write_manifest
from fairdream.runtime.job import run

run(
    write_manifest,
    snakemake,
    manifest=snakemake.output.manifest,
    config=Source(**snakemake.params.cfg),
)
