"""Audit the training set of each bias."""

from fairdream.audit import AuditJob, audit
from fairdream.job import run

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
