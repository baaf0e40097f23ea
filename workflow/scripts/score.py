"""Score the images of one shard with CLIP."""

from fairdream.job import run
from fairdream.score import ScoreJob, score

run(
    score,
    snakemake,
    images=snakemake.input.images,
    model=snakemake.input.model,
    scores=snakemake.output.scores,
    config=ScoreJob(**snakemake.params.cfg),
    batch_size=snakemake.resources.batch,
)
