"""CLIP embeddings of the training images, by content hash: only new images are encoded."""

from __future__ import annotations

from pathlib import Path

from fairdream.basemodel import model_identity
from fairdream.config import ClipModel
from fairdream.files import atomic
from fairdream.identity import digest
from fairdream.job import LOGGER


def embed(index: str, model: str, embeddings: str, store: str, config: ClipModel, batch_size: int) -> None:
    """Embed the training images of an index.

    Writes a safetensors file with `embeddings` (n, d), float32 and unit length, and `sha256` (n, 32), the hash of each
    image's file, sorted by hash.

    Parameters
    ----------
    model
        Manifest of the CLIP weights; with the configuration it names the cache in `store`.
    batch_size
        Images a forward pass.
    """
    import numpy as np
    import pandas as pd
    from safetensors.numpy import load_file, save_file

    table = pd.read_parquet(index)
    table = table[table["split"] == "train"].drop_duplicates("sha256").sort_values("sha256")
    cache = Path(store, "embeddings", f"{digest([config.model_dump(), model_identity(model)])[:32]}.safetensors")
    known: dict[str, np.ndarray] = {}
    if cache.is_file():
        stored = load_file(cache)
        known = {bytes(key).hex(): row for key, row in zip(stored["sha256"], stored["embeddings"], strict=True)}
    new = table[~table["sha256"].isin(known.keys())]
    LOGGER.info("%d images, %d of them to encode", len(table), len(new))
    if len(new):
        from fairdream.clip import Clip
        from fairdream.images import open_rgb

        paths = [Path(f, p) for f, p in zip(new["folder"], new["path"], strict=True)]
        known |= dict(zip(new["sha256"], Clip(config, model).embed_images(open_rgb, paths, batch_size), strict=True))
        _save(save_file, cache, known)
    _save(save_file, embeddings, {sha: known[sha] for sha in table["sha256"]})


def _save(save_file, path: str | Path, rows: dict) -> None:
    import numpy as np

    names = sorted(rows)
    keys = np.array([list(bytes.fromhex(name)) for name in names], np.uint8).reshape(len(names), 32)
    values = np.stack([rows[name] for name in names])
    with atomic(path) as temporary:
        save_file({"embeddings": np.ascontiguousarray(values), "sha256": keys}, temporary)
