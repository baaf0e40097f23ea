"""Sum up what the jobs took."""

from fairdream.reporting.compute_hours import hours
from fairdream.runtime.job import run

run(
    hours,
    snakemake,
    benchmarks=snakemake.params.cfg["benchmarks"],
    markdown=snakemake.output.markdown,
)
