"""Compute each group's centroid."""

from fairdream.centroids import centroids
from fairdream.job import run

run(
    centroids,
    snakemake,
    split=snakemake.input.split,
    embeddings=snakemake.input.embeddings,
    centroids=snakemake.output.centroids,
)
