"""Record the configuration, the software, the models and the data of a run."""

from fairdream.job import run
from fairdream.provenance import ProvenanceJob, provenance

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
