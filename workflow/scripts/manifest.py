"""Write the manifest of a data set's files."""

from fairdream.dataset import Source
from fairdream.job import run
from fairdream.manifest import write_manifest

run(
    write_manifest,
    snakemake,
    manifest=snakemake.output.manifest,
    config=Source(**snakemake.params.cfg),
)
