"""Selection: the share of each group's synthetic images with the highest CLIP score (paper, eq. 1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fairdream.config import Section
from fairdream.files import atomic
from fairdream.job import LOGGER

if TYPE_CHECKING:
    import numpy as np


class SelectJob(Section):
    """How the images of each group are chosen."""

    alpha: dict[str, float]
    fraction: float
    standardize: bool


def select(images: list[str], scores: list[str], centroids: str, selected: str, config: SelectJob) -> None:
    """Write `id`, `shard`, `group`, `clip_label`, `clip_centroid` and `score` of the chosen images.

    Parameters
    ----------
    images, scores
        The method's shards and their scores, in the same order.
    centroids
        Each group's centroid at this bias.
    """
    import numpy as np
    import pandas as pd
    from safetensors.numpy import load_file

    centers = load_file(centroids)
    tables = []
    for shard, path in zip(images, scores, strict=True):
        table = pd.read_parquet(path)
        table["shard"] = shard
        table["group"] = table["id"].str.split("/").str[0]
        tables.append(table)
    chosen = []
    for group, rows in pd.concat(tables).groupby("group"):
        vectors = np.stack(rows["embedding"].to_list()).astype(np.float64)
        rows = rows.drop(columns="embedding").assign(clip_centroid=vectors @ centers[str(group)].astype(np.float64))
        rows["score"] = clip_score(
            rows["clip_label"].to_numpy(),
            rows["clip_centroid"].to_numpy(),
            config.alpha[str(group)],
            config.standardize,
        )
        # ties go to the smaller id, so the order of the shards does not matter
        rows = rows.sort_values(["score", "id"], ascending=[False, True]).head(round(config.fraction * len(rows)))
        LOGGER.info(
            "%s: %d images kept, scores %.4f to %.4f", group, len(rows), rows["score"].min(), rows["score"].max()
        )
        chosen.append(rows)
    with atomic(selected) as path:
        pd.concat(chosen).sort_values("id", ignore_index=True).to_parquet(path, index=False)


def clip_score(label: np.ndarray, centroid: np.ndarray, alpha: float, standardize: bool) -> np.ndarray:
    """Return alpha * CLIP-Label + (1 - alpha) * CLIP-Centroid (paper, eq. 1), each (n,).

    The paper adds the raw similarities, although image-text ones spread less than image-image ones; `standardize`
    z-scores both within the group first.
    """
    if standardize:
        label, centroid = ((x - x.mean()) / (x.std() or 1.0) for x in (label, centroid))
    return alpha * label + (1 - alpha) * centroid
