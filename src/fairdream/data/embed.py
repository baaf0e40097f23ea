"""CLIP embeddings of the training images, by content hash: only new images are encoded."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from fairdream.config.models import ClipModel
from fairdream.errors import UserError
from fairdream.identity import digest
from fairdream.models import tensor_files
from fairdream.models.weights import model_identity
from fairdream.runtime.job import LOGGER

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

PART = 4096  # images that are kept together: a minute of a GPU


def embed(index: str, model: str, embeddings: str, store: str, config: ClipModel, batch_size: int) -> None:
    """Embed the training images of an index.

    Writes a safetensors file with `embeddings` (n, d), float32 and unit length, and `sha256` (n, 32), the hash of each
    image's file, sorted by hash.

    Parameters
    ----------
    model
        Manifest of the CLIP weights; with the configuration it names the cache in `store`, a folder of finished parts:
        a killed job goes on behind the last one.
    batch_size
        Images a forward pass.
    """
    import numpy as np
    import pandas as pd
    from safetensors.numpy import load_file

    table = pd.read_parquet(index)
    table = table[table["split"] == "train"].drop_duplicates("sha256").sort_values("sha256")
    cache = Path(store, "embeddings", digest([config.model_dump(), model_identity(model)])[:32])
    place: dict[str, tuple[Path, int]] = {}
    for part in sorted(cache.glob("*.safetensors")):
        place |= _places(part, load_file(part)["sha256"])
    new = table[~table["sha256"].isin(place.keys())]
    LOGGER.info("%d images, %d of them to encode", len(table), len(new))
    if len(new):
        from fairdream.models.clip import Clip

        clip = Clip(config, model)
        for start in range(0, len(new), PART):
            some = new.iloc[start : start + PART]
            images = [(Path(row.folder, row.path), row.sha256) for row in some.itertuples()]
            values = clip.embed_images(_open_listed, images, len(images), batch_size)
            keys = np.array([list(bytes.fromhex(sha)) for sha in some["sha256"]], np.uint8)
            part = cache / f"{digest(some['sha256'].tolist())[:32]}.safetensors"
            tensor_files.save({"embeddings": values, "sha256": keys}, part)
            place |= _places(part, keys)
    keys = np.array([list(bytes.fromhex(sha)) for sha in table["sha256"]], np.uint8).reshape(len(table), 32)
    values = _gather([place[sha] for sha in table["sha256"]])
    tensor_files.save({"embeddings": values, "sha256": keys}, embeddings)


def _open_listed(image: tuple[Path, str]) -> Image.Image:
    """Return the image of a file that still has the hash that the index lists: it is kept under that hash for good."""
    from fairdream.data.images import open_rgb

    path, sha256 = image
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    if hashlib.sha256(content).hexdigest() != sha256:
        raise UserError(f"{path} changed during the run; start it again to take up the change")
    return open_rgb(content)


def _places(part: Path, keys: np.ndarray) -> dict[str, tuple[Path, int]]:
    """Return the file and row of each content hash (n, 32) in a part of the cache."""
    return {bytes(key).hex(): (part, row) for row, key in enumerate(keys)}


def _gather(places: list[tuple[Path, int]]) -> np.ndarray:
    """Return the embeddings (n, d) that lie at some places; a part is in memory at a time."""
    import numpy as np
    from safetensors.numpy import load_file

    wanted: dict[Path, list[tuple[int, int]]] = {}
    for position, (part, row) in enumerate(places):
        wanted.setdefault(part, []).append((position, row))
    values = None
    for part, pairs in wanted.items():
        stored = load_file(part)["embeddings"]
        if values is None:
            values = np.empty((len(places), stored.shape[1]), np.float32)
        positions, rows = np.array(pairs).T
        values[positions] = stored[rows]
    assert values is not None
    return values
