"""Draw histograms of CLIP scores."""

from fairdream.reporting.figures import score_histograms
from fairdream.runtime.job import run

run(
    score_histograms,
    snakemake,
    scores=list(snakemake.input.scores),
    selected=snakemake.input.selected,
    figure=snakemake.output.figure,
)
