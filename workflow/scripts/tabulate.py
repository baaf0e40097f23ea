"""Write Table 1 or Table 2."""

from fairdream.reporting.tabulate import tabulate
from fairdream.runtime.job import run

run(
    tabulate,
    snakemake,
    metrics=list(snakemake.input.metrics),
    csv=snakemake.output.csv,
    markdown=snakemake.output.markdown,
    latex=snakemake.output.latex,
    **snakemake.params.cfg,
)
