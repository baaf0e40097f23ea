"""Selection: the share of each group's synthetic images with the highest CLIP score (paper, eq. 1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fairdream.config.base import Section
from fairdream.identity import seed_of
from fairdream.runtime.files import atomic
from fairdream.runtime.job import LOGGER

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


class SelectJob(Section):
    """How the images of each group are chosen: by CLIP score, by chance, by colour, or all of them."""

    fraction: float = 1.0
    alpha: dict[str, float] | None = None
    standardize: bool = False
    random_seed: int | None = None
    grey_distance: float | None = None


def select(images: list[str], scores: list[str], centroids: str | None, selected: str, config: SelectJob) -> None:
    """Write `id`, `shard`, `group` and `score` of the chosen images; by CLIP score also `clip_label`, `clip_centroid`.

    Parameters
    ----------
    images
        The method's shards.
    scores
        Their scores in the same order; none where they are not needed.
    centroids
        Each group's centroid at this bias.
    """
    import pandas as pd

    if config.alpha is not None:
        assert centroids
        table = _clip_scores(images, scores, centroids, config)
    else:
        parts = [
            pd.read_parquet(shard, columns=["id", "group", "channel_distance"]).assign(shard=shard) for shard in images
        ]
        table = pd.concat(parts)
        if config.grey_distance is not None:
            table = table[table["channel_distance"] >= config.grey_distance]
        seed = config.random_seed
        table["score"] = 0.0 if seed is None else [float(seed_of("random", seed, name)) for name in table["id"]]
        table = table[["id", "shard", "group", "score"]]
    chosen = []
    for group, rows in table.groupby("group"):
        # ties go to the smaller id, so the order of the shards does not matter
        rows = rows.sort_values(["score", "id"], ascending=[False, True]).head(round(config.fraction * len(rows)))
        LOGGER.info(
            "%s: %d images kept, scores %.4g to %.4g", group, len(rows), rows["score"].min(), rows["score"].max()
        )
        chosen.append(rows)
    with atomic(selected) as path:
        pd.concat(chosen).sort_values("id", ignore_index=True).to_parquet(path, index=False)


def _clip_scores(images: list[str], scores: list[str], centroids: str, config: SelectJob) -> pd.DataFrame:
    """Return all images with the terms of eq. 1 and their sum."""
    import numpy as np
    import pandas as pd
    import pyarrow.parquet as pq
    from safetensors.numpy import load_file

    assert config.alpha is not None
    centers = load_file(centroids)
    tables = []
    for shard, path in zip(images, scores, strict=True):
        # of an embedding only its product stays: those of all images would not fit into memory
        stored = pq.read_table(path)
        table = stored.drop_columns("embedding").to_pandas()
        table = table.assign(shard=shard, group=table["id"].str.split("/").str[0], clip_centroid=0.0)
        vectors = stored["embedding"].combine_chunks().flatten().to_numpy().reshape(len(table), -1)  # (n, d)
        for group, rows in table.groupby("group").indices.items():
            if group not in centers:  # no training image: CLIP-Label alone ranks its images
                continue
            product = vectors[rows].astype(np.float64) @ centers[str(group)].astype(np.float64)
            table.loc[rows, "clip_centroid"] = product
        tables.append(table)
    scored = []
    for group, rows in pd.concat(tables).groupby("group"):
        label, centroid = rows["clip_label"].to_numpy(), rows["clip_centroid"].to_numpy()
        score = clip_score(label, centroid, config.alpha[str(group)], config.standardize)
        scored.append(rows.assign(score=score))
    return pd.concat(scored)


def clip_score(label: np.ndarray, centroid: np.ndarray, alpha: float, standardize: bool) -> np.ndarray:
    """Return alpha * CLIP-Label + (1 - alpha) * CLIP-Centroid (paper, eq. 1), each (n,).

    The paper adds the raw similarities, although image-text ones spread less than image-image ones; `standardize`
    z-scores both within the group first.
    """
    if standardize:
        label, centroid = ((x - x.mean()) / (x.std() or 1.0) for x in (label, centroid))
    return alpha * label + (1 - alpha) * centroid
