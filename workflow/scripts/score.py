"""Score the images of one shard with CLIP."""

from fairdream.curation.score import ScoreJob, score
from fairdream.runtime.job import run

run(
    score,
    snakemake,
    images=snakemake.input.images,
    model=snakemake.input.model,
    scores=snakemake.output.scores,
    config=ScoreJob(**snakemake.params.cfg),
    batch_size=snakemake.resources.batch,
)
