"""Group accuracies and the numbers made of them; all in per cent."""

from __future__ import annotations

from collections.abc import Mapping


def summarize(
    correct: Mapping[str, int], count: Mapping[str, int], train_counts: Mapping[str, int]
) -> dict[str, float]:
    """Return the worst-group accuracy and three averages.

    Parameters
    ----------
    correct, count
        Right predictions and images of each group in the test set.
    train_counts
        Training images of each group at this bias.

    Returns
    -------
    dict
        `wga`: the lowest group accuracy. `aga`: the mean over groups. `weighted`: weighted by the training groups'
        shares, which is what Group-DRO's and SELF's published averages are. `sample`: over all test images.
    """
    accuracy = {group: 100 * correct[group] / count[group] for group in count}
    total = sum(train_counts[group] for group in count)
    return {
        "wga": min(accuracy.values()),
        "aga": sum(accuracy.values()) / len(accuracy),
        "weighted": sum(accuracy[group] * train_counts[group] / total for group in count),
        "sample": 100 * sum(correct.values()) / sum(count.values()),
    }
