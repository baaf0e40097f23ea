"""Write a table as a page of the report."""

from fairdream.job import run
from fairdream.page import page

run(
    page,
    snakemake,
    markdown=snakemake.input.markdown,
    html=snakemake.output.html,
    title=snakemake.params.cfg["title"],
)
