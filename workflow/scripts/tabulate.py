"""Write Table 1 or Table 2."""

from fairdream.job import run
from fairdream.tabulate import tabulate

run(
    tabulate,
    snakemake,
    metrics=list(snakemake.input.metrics),
    csv=snakemake.output.csv,
    markdown=snakemake.output.markdown,
    latex=snakemake.output.latex,
    mark_all_rows=snakemake.params.cfg["mark_all_rows"],
)
