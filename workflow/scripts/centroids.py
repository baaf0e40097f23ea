"""Compute each group's centroid."""

from fairdream.curation.centroids import centroids
from fairdream.runtime.job import run

run(
    centroids,
    snakemake,
    split=snakemake.input.split,
    embeddings=snakemake.input.embeddings,
    centroids=snakemake.output.centroids,
)
