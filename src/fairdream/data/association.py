"""How label and attribute hang together in a training set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fairdream.data.groups import attribute_of, group_name, label_of

if TYPE_CHECKING:
    import pandas as pd

NEGLIGIBLE = 0.1  # Cohen's bound of a small effect (w = 0.1; for two labels or two attributes w is Cramér's V)


# Cohen's bounds of a small, a medium and a large effect w (1988, p. 227).
STRENGTHS = {NEGLIGIBLE: "hardly", 0.3: "weakly", 0.5: "moderately"}


def strength(cramers_v: float) -> str:
    """Return a word for Cramér's V, by Cohen's bounds of an effect."""
    return next((word for below, word in STRENGTHS.items() if cramers_v < below), "strongly")


def measure(train: pd.Series, aligned: dict[str, str]) -> dict[str, Any]:
    """Return how label and attribute hang together in a training set.

    Parameters
    ----------
    train
        Images by group.
    aligned
        Each label's aligned group.

    Returns
    -------
    dict
        `images`; `cramers_v` (Cramér 1946, p. 282): sqrt(chi² / (n min(r - 1, c - 1))), 0 for independence, 1 where one
        fixes the other; `p_value` of the chi² test of independence; `bias_ratio`: the share of aligned images, and
        `lowest_bias_ratio`, that of the class where it is lowest; `attribute_only`: the accuracy of naming each
        attribute's most frequent label; `majority`: that of always naming the most frequent label; `smallest`, the
        smallest group, and `smallest_images`; `expected`: by group, the images under independence.
    """
    import numpy as np
    from scipy.stats import chi2_contingency
    from scipy.stats.contingency import association

    labels = list(dict.fromkeys(map(label_of, train.index)))
    attributes = list(dict.fromkeys(map(attribute_of, train.index)))
    cells = np.array([[int(train.get(group_name(y, a), 0)) for a in attributes] for y in labels])
    total = cells.sum()
    expected = np.outer(cells.sum(1), cells.sum(0)) / total
    # a label or attribute without an image says nothing about the association of the others
    filled = cells[cells.sum(1) > 0][:, cells.sum(0) > 0]
    both = min(filled.shape) > 1
    of_class = {y: int(train[aligned[y]]) / max(1, int(row.sum())) for y, row in zip(labels, cells, strict=True)}
    return {
        "images": int(total),
        "cramers_v": float(association(filled, method="cramer")) if both else 0.0,
        "p_value": float(chi2_contingency(filled, correction=False).pvalue) if both else 1.0,
        "bias_ratio": float(sum(int(train[aligned[y]]) for y in labels) / total),
        "lowest_bias_ratio": min(of_class.values()),
        "attribute_only": float(cells.max(axis=0).sum() / total),
        "majority": float(cells.sum(axis=1).max() / total),
        "smallest": str(train.idxmin()),
        "smallest_images": int(train.min()),
        "expected": {
            group_name(y, a): float(expected[i, j]) for i, y in enumerate(labels) for j, a in enumerate(attributes)
        },
    }
