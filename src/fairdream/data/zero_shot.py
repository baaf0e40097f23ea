"""Zero-shot attributes: which of some words each image is nearest to in CLIP's space."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

TEMPERATURE = 0.02  # of the softmax whose largest probability is the confidence


def prototype(texts: Sequence[str], embed_text: Callable[[str], np.ndarray]) -> np.ndarray:
    """Return the unit-length mean (d,) of the unit-length embeddings of several texts.

    An ensemble of prompts (Radford et al. 2021, section 3.1.4).
    """
    import numpy as np

    embedded = np.stack([embed_text(text) for text in texts]).astype(np.float64)
    mean = (embedded / np.linalg.norm(embedded, axis=1, keepdims=True)).mean(0)
    return mean / np.linalg.norm(mean)


def nearest(embeddings: np.ndarray, prototypes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return each image's nearest prototype and the confidence in it, both (n,).

    Parameters
    ----------
    embeddings
        (n, d), unit length.
    prototypes
        (values, d), unit length.

    Returns
    -------
    tuple
        The number of the prototype with the largest cosine, and its probability by a softmax over the cosines at a
        temperature of 0.02, as bias-to-text labels are made (Kim et al. 2024).
    """
    import numpy as np

    cosines = embeddings.astype(np.float64) @ prototypes.T
    powers = np.exp((cosines - cosines.max(1, keepdims=True)) / TEMPERATURE)
    return cosines.argmax(1), 1 / powers.sum(1)
