"""Draw histograms of CLIP scores."""

from fairdream.curves import score_histograms
from fairdream.job import run

run(
    score_histograms,
    log=snakemake.log[0],
    threads=snakemake.threads,
    scores=list(snakemake.input.scores),
    selected=snakemake.input.selected,
    figure=snakemake.output.figure,
)
