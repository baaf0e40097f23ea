"""Draw the training curves of a method's adapters."""

from fairdream.histories import training_curves
from fairdream.job import run

run(
    training_curves,
    snakemake,
    histories=list(snakemake.input.histories),
    figure=snakemake.output.figure,
)
