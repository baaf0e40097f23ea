"""Leave near copies out of a selection."""

from fairdream.curation.deduplicate import distinct
from fairdream.runtime.job import run

run(
    distinct,
    snakemake,
    selected=snakemake.input.selected,
    copies=snakemake.input.copies,
    distinct=snakemake.output.distinct,
)
