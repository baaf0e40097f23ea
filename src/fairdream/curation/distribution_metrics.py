"""Measures of a set of embeddings: distance to another set, and how diverse it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

BLOCK = 1024


def kernel_distance(one: np.ndarray, other: np.ndarray) -> float:
    """Return the unbiased squared maximum mean discrepancy of two sets; NaN where one has fewer than two members.

    The estimate is Gretton et al. 2012, eq. 3; the kernel is KID's cubic one, (x·y / d + 1)³ (Bińkowski et al. 2018,
    section 4). KID is made for Inception's features; CLIP's embeddings have unit length, so they are scaled to length
    √d, and x·y / d is their cosine. About 0 for two samples of one distribution, and sometimes below.

    Parameters
    ----------
    one, other
        (n, d) and (m, d), of unit length.
    """
    if min(len(one), len(other)) < 2:
        return float("nan")
    # of unit vectors the kernel with itself is (1 + 1)³, but float32 vectors are not quite of unit length
    within = [
        (_kernel_sum(x, x) - float((((x.astype("f8") ** 2).sum(axis=1) + 1) ** 3).sum())) / (len(x) * (len(x) - 1))
        for x in (one, other)
    ]
    return sum(within) - 2 * _kernel_sum(one, other) / (len(one) * len(other))


def _kernel_sum(one: np.ndarray, other: np.ndarray) -> float:
    """Return the kernel's sum over all pairs, a block of rows in memory at a time."""
    total, other = 0.0, other.astype("f8")
    for start in range(0, len(one), BLOCK):
        total += float(((one[start : start + BLOCK].astype("f8") @ other.T + 1) ** 3).sum())
    return total


def mean_similarity(embeddings: np.ndarray) -> float:
    """Return the mean cosine of all pairs of different members of (n, d), of unit length; NaN for fewer than two.

    The sum over all pairs is the squared length of the sum of the vectors.
    """
    n = len(embeddings)
    if n < 2:
        return float("nan")
    values = embeddings.astype("f8")
    return float(((values.sum(axis=0) ** 2).sum() - (values**2).sum()) / (n * (n - 1)))


def vendi_score(embeddings: np.ndarray) -> float:
    """Return the Vendi score of (n, d), of unit length: the effective number of different members, 1 to min(n, d).

    exp of the entropy of the eigenvalues of K / n, K the cosines (Friedman and Dieng 2023, definition 3.1). Those of
    ZᵀZ / n, d by d, are the same but for zeros.
    """
    import numpy as np

    values = embeddings.astype("f8")
    gram = values.T @ values if len(values) > values.shape[1] else values @ values.T
    weights = np.linalg.eigvalsh(gram / len(values))
    weights = weights[weights > 1e-12]
    return float(np.exp(-(weights * np.log(weights)).sum()))
