"""Audit the training set of each bias."""

from fairdream.data.audit import AuditJob, audit
from fairdream.runtime.job import run

run(
    audit,
    snakemake,
    splits=list(snakemake.input.splits),
    groups=snakemake.output.groups,
    association=snakemake.output.association,
    markdown=snakemake.output.markdown,
    figure=snakemake.output.figure,
    config=AuditJob(**snakemake.params.cfg),
)
