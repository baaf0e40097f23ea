"""Tell of an inferred attribute."""

from fairdream.data.inference_report import ReportJob, inference_report
from fairdream.runtime.job import run

run(
    inference_report,
    snakemake,
    table=snakemake.input.table,
    facts=snakemake.input.facts,
    index=snakemake.input.index,
    markdown=snakemake.output.markdown,
    figure=snakemake.output.figure,
    config=ReportJob(**snakemake.params.cfg),
)
