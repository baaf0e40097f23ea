"""Near copies: synthetic images that show a training image again.

An image is a near copy when some training image of its bias is as near to it in embedding *and* pixels as training
images hardly ever are to one another. Carlini et al. 2023 and Somepalli et al. 2023 found such copies in what diffusion
models draw; neither's threshold holds for other images or another CLIP, so it is calibrated on the training set.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from fairdream.config.base import Section
from fairdream.curation.nearest_neighbors import nearest, thumbnail
from fairdream.data.images import iter_pngs, open_rgb
from fairdream.identity import seed_of
from fairdream.runtime.files import atomic
from fairdream.runtime.job import LOGGER
from fairdream.runtime.prefetch import prefetch

if TYPE_CHECKING:
    import numpy as np

CALIBRATION = 2000  # training images whose nearest neighbours are looked for, at the most


class CopiesJob(Section):
    """When an image is a near copy."""

    quantile: float
    embedding: float
    pixels: float
    seed: int


def copies(
    split: str, embeddings: str, thumbnails: str, images: list[str], scores: list[str], copies: str, config: CopiesJob
) -> None:
    """Write the nearest training images of each synthetic image, and whether it is a near copy.

    The metadata of the file holds the two thresholds, and `real_copies`: the share of training images that are near
    copies of another one by the same rule.

    Parameters
    ----------
    images, scores
        The method's shards and their scores, in the same order.
    """
    import numpy as np
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq
    from safetensors.numpy import load_file

    train = pd.read_parquet(split)
    train = train[train["split"] == "train"].drop_duplicates("sha256").sort_values("sha256", ignore_index=True)
    real = _rows_of(load_file(embeddings), "embeddings", train["sha256"])  # (m, d)
    small = _rows_of(load_file(thumbnails), "thumbnails", train["sha256"])  # (m, h, w, 3)
    floor, real_copies = calibrate(real, small, config)
    LOGGER.info("near copy: cosine >= %.4f and correlation >= %.4f", *floor)
    LOGGER.info("by that rule %.2f %% of the training images are near copies of another one", 100 * real_copies)
    names, parts = train["id"].to_numpy(), []
    for shard, path in zip(images, scores, strict=True):
        table = pq.read_table(path, columns=["id", "embedding"])
        vectors = table["embedding"].combine_chunks().flatten().to_numpy().reshape(len(table), -1)  # (n, d)
        # threads decode; a shard's thumbnails are small
        pngs = (png for _, png in iter_pngs(shard))
        own = list(prefetch(lambda png: thumbnail(open_rgb(png)), pngs, len(os.sched_getaffinity(0)), depth=64))
        found = nearest(vectors, np.stack(own), real, small, floor)
        part = pd.DataFrame({"id": table["id"].to_pandas(), "shard": shard})
        part["group"] = part["id"].str.split("/").str[0]
        for column, rows in (
            ("nearest_embedding", found.by_embedding),
            ("nearest_pixels", found.by_pixels),
            ("nearest", found.by_both),
        ):
            part[column] = names[rows]
        part["cosine"], part["correlation"] = found.cosine, found.correlation
        part["nearest_cosine"], part["nearest_correlation"] = found.both_cosine, found.both_correlation
        part["copy"] = (found.both_cosine >= floor[0]) & (found.both_correlation >= floor[1])
        parts.append(part)
    result = pd.concat(parts, ignore_index=True)
    for group, own in result.groupby("group"):
        LOGGER.info("%s: %d near copies of %d images", group, own["copy"].sum(), len(own))
    written = pa.Table.from_pandas(result, preserve_index=False)
    told = {"embedding": floor[0], "pixels": floor[1], "real_copies": real_copies}
    metadata = {**(written.schema.metadata or {}), **{key: repr(float(value)) for key, value in told.items()}}
    with atomic(copies) as temporary:
        pq.write_table(written.replace_schema_metadata(metadata), temporary)


def calibrate(embeddings: np.ndarray, thumbnails: np.ndarray, config: CopiesJob) -> tuple[tuple[float, float], float]:
    """Return the cosine and the correlation of a near copy, and the share of training images that have one.

    Each is the quantile of the training images' similarities to their nearest other training image, and no less than
    the configuration's: in a small or sparse set the nearest ones may be far apart.
    """
    import numpy as np

    floor = (config.embedding, config.pixels)
    if len(embeddings) < 2:
        return floor, 0.0
    rng = np.random.default_rng(seed_of("copies", config.seed))
    some = np.sort(rng.permutation(len(embeddings))[:CALIBRATION])
    args = embeddings[some], thumbnails[some], embeddings, thumbnails
    found = nearest(*args, own=some)
    values = (np.quantile(values, config.quantile) for values in (found.cosine, found.correlation))
    floor = (max(config.embedding, float(next(values))), max(config.pixels, float(next(values))))
    both = nearest(*args, floor, own=some)
    return floor, float(((both.both_cosine >= floor[0]) & (both.both_correlation >= floor[1])).mean())


def _rows_of(stored: dict[str, np.ndarray], name: str, hashes: list[str]) -> np.ndarray:
    """Return what is stored under some hashes, in their order."""
    row_of = {bytes(key).hex(): row for row, key in enumerate(stored["sha256"])}
    return stored[name][[row_of[sha] for sha in hashes]]
