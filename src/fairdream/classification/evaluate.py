"""Evaluation: predictions on the test and validation sets as metrics."""

from __future__ import annotations

import json
from typing import Any

from fairdream.classification.metrics import summarize
from fairdream.runtime.files import write_text


def evaluate(predictions: str, metrics: str, names: dict[str, str], train_counts: dict[str, int]) -> None:
    """Write group accuracies, WGA and the averages of one classifier.

    Parameters
    ----------
    names
        What the classifier is: data set, bias, method, seed and so on; copied into the result.
    train_counts
        Training images of each group at this bias.
    """
    import pandas as pd

    table = pd.read_parquet(predictions)
    table["correct"] = table["predicted"] == table["label"]
    result: dict[str, Any] = dict(names)
    for split in ("validation", "test"):
        rows = table[table["split"] == split]
        groups = rows.groupby("group")["correct"].agg(["sum", "count"])
        correct, count = groups["sum"].astype(int).to_dict(), groups["count"].astype(int).to_dict()
        if not count:
            continue
        result[split] = {
            **summarize(correct, count, train_counts),
            "groups": {group: {"correct": correct[group], "count": count[group]} for group in sorted(count)},
            # the accuracies say nothing of them
            "without_images": sorted(train_counts.keys() - count.keys()),
        }
    write_text(metrics, json.dumps(result, indent=1, sort_keys=True) + "\n")
