"""Record the configuration, the software, the models and the data of a run."""

from fairdream.reporting.provenance import ProvenanceJob, provenance
from fairdream.runtime.job import run

run(
    provenance,
    snakemake,
    models={
        "diffusion": snakemake.input.diffusion,
        "clip": snakemake.input.clip,
        "encoder": snakemake.input.encoder,
    },
    configuration=snakemake.output.configuration,
    versions=snakemake.output.versions,
    config=ProvenanceJob(**snakemake.params.cfg),
)
