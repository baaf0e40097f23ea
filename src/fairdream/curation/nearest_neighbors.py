"""How near an image is to training images: cosine of CLIP embeddings, and correlation of small pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

SIDE = 16  # pixels: enough to tell two photographs apart, and a copy's noise and compression are averaged away
BLOCK = 256  # images compared at a time with all training images


def thumbnail(image: Image.Image) -> np.ndarray:
    """Return an RGB image, stretched to a square by the mean of its areas, as bytes (16, 16, 3)."""
    import numpy as np
    from PIL import Image

    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BOX))


def standardized(thumbnails: np.ndarray) -> np.ndarray:
    """Return thumbnails (n, h, w, 3) as unit vectors (n, 3hw) without their mean.

    The product of two is Pearson's correlation of their values, which neither brightness nor contrast changes. A flat
    image becomes the zero vector, which correlates with nothing.
    """
    import numpy as np

    values = thumbnails.reshape(len(thumbnails), -1).astype(np.float32)
    values -= values.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    return values / np.where(lengths > 1e-3, lengths, np.inf)


class Nearest(NamedTuple):
    """The nearest training images of n images, each as rows of the training set and a similarity, (n,)."""

    by_embedding: np.ndarray
    cosine: np.ndarray
    by_pixels: np.ndarray
    correlation: np.ndarray
    by_both: np.ndarray
    both_cosine: np.ndarray
    both_correlation: np.ndarray


def nearest(
    embeddings: np.ndarray,
    thumbnails: np.ndarray,
    train_embeddings: np.ndarray,
    train_thumbnails: np.ndarray,
    floor: tuple[float, float] = (0.0, 0.0),
    own: np.ndarray | None = None,
) -> Nearest:
    """Return for each image the nearest training image by embedding, by pixels, and by both.

    Parameters
    ----------
    embeddings, train_embeddings
        (n, d) and (m, d), of unit length.
    thumbnails, train_thumbnails
        (n, h, w, 3) and (m, h, w, 3), bytes; the mirrored training image counts as the image.
    floor
        Cosine and correlation that a near copy has: by both, the nearest is the one whose smaller excess over the two
        is largest. So an image is a near copy of some training image if and only if that one's excesses are not
        negative.
    own
        The row of each image in the training set, which is left out of its neighbours; (n,).
    """
    import numpy as np

    pixels, mirrored = standardized(train_thumbnails), standardized(train_thumbnails[:, :, ::-1])
    parts = []
    for start in range(0, len(embeddings), BLOCK):
        some = slice(start, start + BLOCK)
        small = standardized(thumbnails[some])
        cosine = embeddings[some] @ train_embeddings.T  # (b, m)
        correlation = np.maximum(small @ pixels.T, small @ mirrored.T)
        rows = np.arange(len(cosine))
        if own is not None:
            cosine[rows, own[some]] = correlation[rows, own[some]] = -np.inf
        both = np.minimum(cosine - floor[0], correlation - floor[1])
        places = [values.argmax(axis=1) for values in (cosine, correlation, both)]
        e, p, b = places
        parts.append((e, cosine[rows, e], p, correlation[rows, p], b, cosine[rows, b], correlation[rows, b]))
    return Nearest(*(np.concatenate(column) for column in zip(*parts, strict=True)))
