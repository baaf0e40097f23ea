"""An attribute that no table has, inferred for every image of a data set from its CLIP embedding.

What is true is not read here: neither an attribute that a table may have, nor the class where words alone decide.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from fairdream.config.base import Section
from fairdream.config.models import ClipModel
from fairdream.data.inferred import LIKE
from fairdream.identity import seed_of
from fairdream.runtime.files import atomic, write_text
from fairdream.runtime.job import LOGGER

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


class InferJob(Section):
    """What decides an attribute: texts of its values; or without any, XRM's seed and the classes."""

    clip: ClipModel | None
    texts: dict[str, list[str]] | None
    labels: list[str]
    seed: int


def infer(index: str, embeddings: str, model: str | None, table: str, facts: str, config: InferJob) -> None:
    """Write the attribute of every image, with the confidence in it.

    Parameters
    ----------
    embeddings
        Of all images, see `fairdream.data.every_image`.
    model
        Manifest of the CLIP weights; ``None`` for XRM, which needs no text.
    table
        Output: CSV with `id`, `split`, `label`, `attribute` and `confidence`, in the order of the index.
    facts
        Output: JSON. Of XRM `flipped`, the share of training labels that the heads had flipped in the end, and the
        `rate` and `decay` that were chosen.

    Raises
    ------
    UserError
        When XRM tells nothing apart, see `fairdream.data.xrm.fit`.
    """
    import pandas as pd

    rows = pd.read_parquet(index, columns=["id", "split", "label", "sha256"])
    features = _features(rows["sha256"], embeddings)
    told: dict[str, Any] = {}
    if config.texts is not None:
        assert config.clip is not None
        assert model is not None
        values, confidence = _by_words(features, config.texts, config.clip, model)
    else:
        values, confidence, told = _by_xrm(rows, features, config)
    rows = rows.drop(columns="sha256").assign(attribute=values, confidence=confidence)
    for value, count in rows["attribute"].value_counts().sort_index().items():
        LOGGER.info("%s: %d images", value, count)
    with atomic(table) as path:
        rows.to_csv(path, index=False, float_format="%.6g", lineterminator="\n")
    write_text(facts, json.dumps(told, indent=2, sort_keys=True) + "\n")


def _features(hashes: pd.Series, embeddings: str) -> np.ndarray:
    """Return the embedding (n, d) of each image by its content hash."""
    from safetensors.numpy import load_file

    stored = load_file(embeddings)
    place = {bytes(key).hex(): row for row, key in enumerate(stored["sha256"])}
    return stored["embeddings"][[place[sha] for sha in hashes]]


def _by_words(
    features: np.ndarray, texts: dict[str, list[str]], clip: ClipModel, model: str
) -> tuple[np.ndarray, np.ndarray]:
    import numpy as np

    from fairdream.data.zero_shot import nearest, prototype
    from fairdream.models.clip import Clip

    loaded = Clip(clip, model)
    names = sorted(texts)
    found, confidence = nearest(features, np.stack([prototype(texts[name], loaded.embed_text) for name in names]))
    return np.array(names)[found], confidence


def _by_xrm(
    rows: pd.DataFrame, features: np.ndarray, config: InferJob
) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    import numpy as np

    from fairdream.data import xrm

    names = sorted(config.labels)
    labels = rows["label"].map({name: number for number, name in enumerate(names)}).to_numpy()
    train = (rows["split"] == "train").to_numpy()
    seed = seed_of("XRM", config.seed)
    twins = xrm.fit(features[train], labels[train], len(names), seed)
    found, confidence = twins.mark(features, labels)
    LOGGER.info("%.4f of the training labels flipped, at rate %g and decay %g", twins.flipped, twins.rate, twins.decay)
    told = {"flipped": twins.flipped, "rate": twins.rate, "decay": twins.decay}
    return np.array([f"{LIKE}{name}" for name in names])[found], confidence, told
