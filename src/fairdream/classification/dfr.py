"""DFR: a last layer from balanced subsets of held-out images (Kirichenko et al. 2023). Beyond the paper's rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fairdream.errors import UserError

if TYPE_CHECKING:
    import numpy as np


def balanced_subset(groups: np.ndarray, generator: np.random.Generator, count: int | None = None) -> np.ndarray:
    """Return sorted indices with `count` images of each group by chance, or all that it has.

    ``None``: as many as the smallest group has.
    """
    import numpy as np

    names, counts = np.unique(groups, return_counts=True)
    count = counts.min() if count is None else count
    parts = [generator.permutation(np.flatnonzero(groups == name))[:count] for name in names]
    return np.sort(np.concatenate(parts))


def check(held_out: np.ndarray, classes: int, method: str = "dfr") -> None:
    """Refuse held-out images of the classes `held_out` (n,) whose halves cannot both be of use to `method`.

    Raises
    ------
    UserError
        Says how many there are, and what to do.
    """
    import numpy as np

    shown = len(np.unique(held_out))
    if shown < classes or len(held_out) < 2 * classes:
        raise UserError(
            f"{method.upper()} learns from one half of the validation images and chooses by the other: "
            f"{len(held_out)} image(s) of {shown} class(es) do not show every class in a half; give more of them "
            f"(held_out.validation), or take {method} out of methods"
        )


def halves(classes: np.ndarray, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return the sorted indices of two random halves, the first of which shows every class."""
    import numpy as np

    half, order = len(classes) // 2, generator.permutation(len(classes))
    names, first = np.unique(classes[order], return_index=True)
    if len(np.unique(classes[order[:half]])) < len(names):  # by chance, where classes have few images
        order = np.concatenate([order[first], np.delete(order, first)])
    return np.sort(order[:half]), np.sort(order[half:])


def fit(
    features: np.ndarray,
    classes: np.ndarray,
    groups: np.ndarray,
    strengths: Sequence[float],
    refits: int,
    generator: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the weight (c, d) and bias (c,) of a last layer.

    Half of the images, balanced, fits one l1 logistic regression for each strength; the other half's worst group
    chooses among them. Then that strength is fitted to `refits` balanced subsets of all images and the coefficients
    are averaged. Features are standardised, which the result undoes.

    Parameters
    ----------
    features, classes, groups
        (n, d), (n,) and (n,) of the held-out images, at least two for each class on average.
    strengths
        Candidates for C, the inverse of the penalty.
    """
    import numpy as np
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    def regression(rows: np.ndarray, strength: float) -> LogisticRegression:
        binary = len(np.unique(classes)) == 2
        return LogisticRegression(
            l1_ratio=1.0, C=strength, solver="liblinear" if binary else "saga", max_iter=1000, random_state=0
        ).fit(scaled[rows], classes[rows])

    def worst_group(model: LogisticRegression, rows: np.ndarray) -> float:
        right = model.predict(scaled[rows]) == classes[rows]
        return min(right[groups[rows] == name].mean() for name in np.unique(groups[rows]))

    tune, check = halves(classes, generator)
    scaler = StandardScaler().fit(features[tune])
    scaled = scaler.transform(features)
    subset = tune[balanced_subset(groups[tune], generator)]
    strength = max(strengths, key=lambda value: worst_group(regression(subset, value), check))

    scaler = StandardScaler().fit(features)
    scaled = scaler.transform(features)
    models = [regression(balanced_subset(groups, generator), strength) for _ in range(refits)]
    weight = np.mean([model.coef_ for model in models], axis=0) / scaler.scale_
    bias = np.mean([model.intercept_ for model in models], axis=0) - weight @ scaler.mean_
    if len(weight) == 1:  # of two classes scikit-learn keeps the difference alone
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    return weight, bias
