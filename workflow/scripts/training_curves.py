"""Draw the training curves of a method's adapters."""

from fairdream.reporting.training_curves import training_curves
from fairdream.runtime.job import run

run(
    training_curves,
    snakemake,
    histories=list(snakemake.input.histories),
    figure=snakemake.output.figure,
)
