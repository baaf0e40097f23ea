"""Centroids: the mean CLIP embedding of each group's training images (paper, section 3.2)."""

from __future__ import annotations

from fairdream.models import tensor_files


def centroids(split: str, embeddings: str, centroids: str) -> None:
    """Write a safetensors file with one unit-length centroid (d,) for each group of the training set.

    The paper's centroid is the plain mean; its length does not change the cosine similarity taken with it.
    """
    import numpy as np
    import pandas as pd
    from safetensors.numpy import load_file

    stored = load_file(embeddings)
    row_of = {bytes(key).hex(): row for row, key in enumerate(stored["sha256"])}
    table = pd.read_parquet(split)
    means = {}
    for group, rows in table[table["split"] == "train"].groupby("group"):
        mean = stored["embeddings"][[row_of[sha] for sha in rows["sha256"]]].astype(np.float64).mean(axis=0)
        means[str(group)] = (mean / np.linalg.norm(mean)).astype(np.float32)
    tensor_files.save(means, centroids)
