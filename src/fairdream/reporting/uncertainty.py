"""How sure a worst-group accuracy is: bootstrap intervals over the test images, paired with those of ERM.

Test images are drawn with replacement within each group, the same ones for every seed and every method. The standard
deviation over seeds in Table 1 says how much training varies; these intervals say how much the test set does.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairdream.config.base import Section
from fairdream.methods import METHODS, row_of
from fairdream.reporting.aggregate import untested
from fairdream.runtime.files import atomic, write_text
from fairdream.runtime.job import LOGGER

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

REFERENCE = "erm"


class UncertaintyJob(Section):
    """How the intervals are drawn."""

    draws: int
    small_group: int
    seed: int


def uncertainty(predictions: list[str], metrics: list[str], csv: str, markdown: str, config: UncertaintyJob) -> None:
    """Write the 95 % interval of each row's worst-group accuracy, and of its difference to ERM's.

    Parameters
    ----------
    predictions, metrics
        Of the table's classifiers, in the same order.
    """
    import numpy as np
    import pandas as pd

    cells: dict[tuple[str, str], dict[str, list[pd.DataFrame]]] = {}
    for predicted, metric in zip(predictions, metrics, strict=True):
        names = json.loads(Path(metric).read_text(encoding="utf-8"))
        method_row = row_of(names["method"], names["recipe"])
        assert method_row
        table = pd.read_parquet(predicted)
        table = table[table["split"] == "test"].sort_values("id")
        cells.setdefault((names["dataset"], names["bias"]), {}).setdefault(method_row, []).append(table)
    rows = []
    for (dataset, bias), methods in cells.items():
        groups = next(iter(methods.values()))[0]["group"].to_numpy(str)
        sizes = dict(zip(*np.unique(groups, return_counts=True), strict=True))
        smallest = min(sizes, key=sizes.__getitem__)
        if sizes[smallest] < config.small_group:
            LOGGER.warning("%s: test group %s has only %d images", dataset, smallest, sizes[smallest])
        draws = {}
        for method, tables in methods.items():
            right = np.stack([(table["predicted"] == table["label"]).to_numpy() for table in tables])
            draws[method] = (wga(right, groups), bootstrap_wga(right, groups, config.draws, config.seed))
        for method in [name for name in METHODS if name in draws]:
            value, samples = draws[method]
            low, high = np.percentile(samples, [2.5, 97.5])
            row: dict[str, Any] = {
                "dataset": dataset,
                "bias": bias,
                "method": method,
                "wga": value,
                "wga_low": low,
                "wga_high": high,
            }
            if REFERENCE in draws and method != REFERENCE:
                low, high = np.percentile(samples - draws[REFERENCE][1], [2.5, 97.5])
                row |= {"above_erm": value - draws[REFERENCE][0], "above_erm_low": low, "above_erm_high": high}
            rows.append(row | {"smallest_test_group": smallest, "smallest_test_group_images": sizes[smallest]})
    table = pd.DataFrame(rows)
    with atomic(csv) as path:
        table.to_csv(path, index=False, float_format="%.4f", lineterminator="\n")
    lost = "".join(f"\n**{told}**\n" for told in untested(metrics))
    write_text(markdown, _markdown(table, config.small_group) + lost)


def wga(right: np.ndarray, groups: np.ndarray) -> float:
    """Return the mean over classifiers of the worst group's accuracy in per cent; `right` is (classifiers, n)."""
    import numpy as np

    accuracy = np.stack([right[:, groups == name].mean(axis=1) for name in np.unique(groups)])
    return 100 * float(accuracy.min(axis=0).mean())


def bootstrap_wga(right: np.ndarray, groups: np.ndarray, draws: int, seed: int) -> np.ndarray:
    """Return the same number (draws,) for test sets drawn with replacement within each group.

    The same seed draws the same images, so the results of two methods are paired.
    """
    import numpy as np

    generator = np.random.default_rng(seed)
    accuracy = []
    for name in np.unique(groups):
        own = right[:, groups == name].astype(np.float64)  # (classifiers, n_g)
        size = own.shape[1]
        counts = generator.multinomial(size, np.full(size, 1 / size), size=draws)  # (draws, n_g)
        accuracy.append(counts @ own.T / size)
    return 100 * np.min(accuracy, axis=0).mean(axis=1)


def _markdown(table: pd.DataFrame, small_group: int) -> str:
    lines = ["| Dataset | Bias | Method | WGA | 95 % interval | Above ERM | 95 % interval |", "| --- " * 7 + "|"]
    for row in table.to_dict("records"):
        above = ["", ""]
        if row.get("above_erm") == row.get("above_erm") and row.get("above_erm") is not None:
            above = [f"{row['above_erm']:+.1f}", f"{row['above_erm_low']:+.1f} to {row['above_erm_high']:+.1f}"]
        cells = [row["dataset"], row["bias"], METHODS[row["method"]].title, f"{row['wga']:.1f}"]
        cells += [f"{row['wga_low']:.1f} to {row['wga_high']:.1f}", *above]
        lines.append("| " + " | ".join(cells) + " |")
    notes = []
    smallest = table.drop_duplicates("dataset")[["dataset", "smallest_test_group", "smallest_test_group_images"]]
    for dataset, group, images in smallest.to_numpy():
        note = (
            f"{dataset}: the smallest test group, {group}, has {images} images, one image is {100 / images:.2g} points."
        )
        notes.append(note + (" **Too few for its accuracy to mean much.**" if images < small_group else ""))
    return "\n".join([*lines, "", *notes]) + "\n"
