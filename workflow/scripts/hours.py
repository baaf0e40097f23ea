"""Sum up what the jobs took."""

from fairdream.hours import hours
from fairdream.job import run

run(
    hours,
    snakemake,
    benchmarks=snakemake.params.cfg["benchmarks"],
    markdown=snakemake.output.markdown,
)
