"""Leave near copies out of a selection."""

from fairdream.distinct import distinct
from fairdream.job import run

run(
    distinct,
    snakemake,
    selected=snakemake.input.selected,
    copies=snakemake.input.copies,
    distinct=snakemake.output.distinct,
)
