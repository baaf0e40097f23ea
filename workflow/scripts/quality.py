"""Audit a method's images."""

from fairdream.curation.quality import QualityJob, quality
from fairdream.runtime.job import run

run(
    quality,
    snakemake,
    index=snakemake.input.index,
    embeddings=snakemake.input.embeddings,
    texts=snakemake.input.texts,
    centroids=snakemake.input.centroids,
    copies=snakemake.input.copies,
    selected=snakemake.input.selected,
    images=list(snakemake.input.images),
    scores=list(snakemake.input.scores),
    csv=snakemake.output.csv,
    summary=snakemake.output.summary,
    sheet=snakemake.output.sheet,
    pairs=snakemake.output.pairs,
    config=QualityJob(**snakemake.params.cfg),
)
