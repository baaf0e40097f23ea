"""Scoring: CLIP-Label and the CLIP embedding of every synthetic image (paper, section 3.2).

CLIP-Centroid is the embedding's product with a group's centroid, so it is left to `select`: neither another alpha nor
another training set costs a GPU job.
"""

from __future__ import annotations

from fairdream.config.base import Section
from fairdream.config.models import ClipModel
from fairdream.data.images import iter_pngs, open_rgb
from fairdream.models.clip import Clip
from fairdream.runtime.files import atomic


class ScoreJob(Section):
    """What scoring needs beside the images."""

    clip: ClipModel
    prompt: str


def score(images: str, model: str, scores: str, config: ScoreJob, batch_size: int) -> None:
    """Write `id`, `clip_label` and `embedding` (d values, unit length) of each image of a shard.

    Parameters
    ----------
    model
        Manifest of the CLIP weights.
    batch_size
        Images a forward pass.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = pq.read_table(images, columns=["id"])["id"]
    clip = Clip(config.clip, model)
    pngs = (png for _, png in iter_pngs(images))
    embeddings = clip.embed_images(open_rgb, pngs, len(names), batch_size)  # (n, d)
    label = embeddings @ clip.embed_text(config.prompt)  # (n,)
    table = pa.table(
        {
            "id": names,
            "clip_label": pa.array(label.astype(np.float64)),
            "embedding": pa.FixedSizeListArray.from_arrays(pa.array(embeddings.ravel()), embeddings.shape[1]),
        }
    )
    with atomic(scores) as path:
        pq.write_table(table, path)
