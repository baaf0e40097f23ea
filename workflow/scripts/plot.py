"""Draw a contact sheet."""

from fairdream.job import run
from fairdream.plot import plot

run(
    plot,
    log=snakemake.log[0],
    threads=snakemake.threads,
    split=snakemake.input.split,
    selected=snakemake.input.selected,
    figure=snakemake.output.figure,
    columns=snakemake.params.cfg["columns"],
)
