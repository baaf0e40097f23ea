"""Compute each group's centroid."""

from fairdream.centroids import centroids
from fairdream.job import run

run(
    centroids,
    log=snakemake.log[0],
    threads=snakemake.threads,
    split=snakemake.input.split,
    embeddings=snakemake.input.embeddings,
    centroids=snakemake.output.centroids,
)
