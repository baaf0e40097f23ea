"""Metrics of many classifiers as one tidy table: mean and deviation over the seeds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from fairdream.data.groups import ORIGINAL
from fairdream.methods import METHODS, row_of

if TYPE_CHECKING:
    import pandas as pd

NUMBERS = ("wga", "aga", "weighted")
AVERAGE = "average"


def summary(metrics: list[str]) -> pd.DataFrame:
    """Return the tidy table; accuracies in per cent."""
    import pandas as pd

    rows = []
    for path in metrics:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        names = {key: content[key] for key in ("dataset", "bias", "seed")}
        names["method"] = row_of(content["method"], content["recipe"])
        rows.append({**names, **{number: content["test"][number] for number in NUMBERS}})
    raw = pd.DataFrame(rows)
    result = []
    for (dataset, bias, method), part in raw.groupby(["dataset", "bias", "method"], sort=False):
        row = {"dataset": dataset, "bias": bias, "method": method}
        row |= {"synthetic": METHODS[method].synthetic, "seeds": len(part)}
        for number in NUMBERS:
            row |= {f"{number}_mean": part[number].mean(), f"{number}_std": part[number].std(ddof=0)}
        result.append(row)
    biases = raw["bias"].nunique()
    tidy = pd.DataFrame(result)
    for (dataset, method), part in tidy.groupby(["dataset", "method"], sort=False):
        if biases > 1 and len(part) == biases:
            row = {"dataset": dataset, "bias": AVERAGE, "method": method, "synthetic": METHODS[method].synthetic}
            row["seeds"] = int(part["seeds"].min())
            row |= {f"{number}_mean": part[f"{number}_mean"].mean() for number in NUMBERS}
            result.append(row)
    tidy = pd.DataFrame(result)
    order = {method: position for position, method in enumerate(METHODS)}
    tidy["_method"] = tidy["method"].map(order)
    tidy["_bias"] = tidy["bias"].map(_bias_rank)
    tidy["_dataset"] = tidy["dataset"].map({name: position for position, name in enumerate(raw["dataset"].unique())})
    return tidy.sort_values(["_dataset", "_bias", "_method"], ignore_index=True).drop(
        columns=["_dataset", "_bias", "_method"]
    )


def untested(metrics: list[str]) -> list[str]:
    """Return a sentence for each data set that has no test image of some group."""
    lost: dict[str, set[str]] = {}
    for path in metrics:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        lost.setdefault(content["dataset"], set()).update(content["test"].get("without_images", []))
    return [
        f"{dataset}: no test image of {', '.join(sorted(groups))}, so the accuracies are those of the other groups."
        for dataset, groups in lost.items()
        if groups
    ]


def _bias_rank(bias: str) -> float:
    return {ORIGINAL: 0.0, AVERAGE: 2.0}[bias] if bias in (ORIGINAL, AVERAGE) else float(bias)
