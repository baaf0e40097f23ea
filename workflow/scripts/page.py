"""Write a table as a page of the report."""

from fairdream.reporting.html_page import page
from fairdream.runtime.job import run

run(
    page,
    snakemake,
    markdown=snakemake.input.markdown,
    html=snakemake.output.html,
    title=snakemake.params.cfg["title"],
)
