"""Thumbnails of the training images, read once a data set: what near copies are looked for in."""

from __future__ import annotations

import os
from pathlib import Path

from fairdream.curation.nearest_neighbors import SIDE, thumbnail
from fairdream.data.images import open_rgb
from fairdream.models import tensor_files
from fairdream.runtime.prefetch import prefetch


def thumbnails(index: str, thumbnails: str) -> None:
    """Write `thumbnails` (n, 16, 16, 3) and `sha256` (n, 32) of the training images, sorted by hash."""
    import numpy as np
    import pandas as pd

    table = pd.read_parquet(index)
    table = table[table["split"] == "train"].drop_duplicates("sha256").sort_values("sha256")
    paths = (Path(row.folder, row.path) for row in table.itertuples())
    values = np.empty((len(table), SIDE, SIDE, 3), np.uint8)
    read = prefetch(lambda path: thumbnail(open_rgb(path)), paths, len(os.sched_getaffinity(0)), depth=64)
    for row, small in enumerate(read):
        values[row] = small
    keys = np.array([list(bytes.fromhex(sha)) for sha in table["sha256"]], np.uint8).reshape(len(table), 32)
    tensor_files.save({"thumbnails": values, "sha256": keys}, thumbnails)
