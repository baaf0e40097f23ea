"""What is told of an inferred attribute: its groups, its doubts, and how it compares with a true one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from fairdream.config.base import Section
from fairdream.data.groups import group_name
from fairdream.data.image_grid import Frame, draw_sheet
from fairdream.data.inferred import WAYS
from fairdream.runtime.files import write_text
from fairdream.runtime.job import LOGGER

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

SHOWN = 12  # images in a row of the sheet
SPLITS = ("train", "validation", "test")


class ReportJob(Section):
    """What the page of an inferred attribute says beside the table."""

    dataset: str
    way: str
    labels: list[str]
    values: list[str]
    true_values: list[str]
    min_images: int


def inference_report(table: str, facts: str, index: str, markdown: str, figure: str, config: ReportJob) -> None:
    """Write a page on an inferred attribute, and a sheet of the images whose value is surest and least sure.

    Parameters
    ----------
    table, facts
        What `fairdream.data.infer` wrote.
    index
        Of the data set: for the true attribute, where it has one.
    """
    import pandas as pd

    rows = pd.read_csv(table, dtype={"id": str, "label": str, "attribute": str}, keep_default_na=False)
    known = pd.read_parquet(index, columns=["id", "attribute", "folder", "path"]).set_index("id").loc[rows["id"]]
    lines = [
        f"# {config.dataset}: attribute inferred by {WAYS[config.way]}\n",
        "What is inferred is not what is true. Look at the sheet of the surest and the least sure images first.\n",
        *_groups(rows, config),
        *_flips(json.loads(Path(facts).read_text(encoding="utf-8"))),
        *_truth(rows, known["attribute"].to_numpy(), config),
    ]
    text = "\n".join(lines) + "\n"
    write_text(markdown, text)
    LOGGER.info("%s", text)
    rows["file"] = [Path(folder, path) for folder, path in zip(known["folder"], known["path"], strict=True)]
    draw_sheet(list(_sheet(rows, config)), f"{config.dataset}: {WAYS[config.way]}", figure)


def _groups(rows: pd.DataFrame, config: ReportJob) -> list[str]:
    """Return the table of groups, and a warning for each that is empty or too unsure for an adapter."""
    lines = [_row("group", *SPLITS, "summed confidence (train)"), _row(*["---"] * 5)]
    warnings = []
    for label in sorted(config.labels):
        for value in sorted(config.values):
            own = rows[(rows["label"] == label) & (rows["attribute"] == value)]
            counts = [int((own["split"] == split).sum()) for split in SPLITS]
            sure = float(own.loc[own["split"] == "train", "confidence"].sum())
            name = group_name(label, value)
            lines.append(_row(name, *(f"{count:,}" for count in counts), f"{sure:,.1f}"))
            if not counts[0]:
                warnings.append(f"- **{name} has no training image**: the group is drawn by the swap, if at all.")
            elif sure < config.min_images:
                warnings.append(
                    f"- **{name}**: its {counts[0]} training images are worth {sure:.1f} by their confidence, fewer "
                    f"than {config.min_images} (swap.min_images_for_own_model). Unless it is the aligned group of its "
                    "class, it gets no adapter of its own and is drawn by the swap."
                )
    return [*lines, "", *warnings, *([""] if warnings else [])]


def _flips(facts: dict[str, float]) -> list[str]:
    if not facts:
        return []
    return [
        f"XRM's heads had flipped {facts['flipped']:.2%} of the training labels in the end, about as many as there are "
        "training images that conflict with the shortcut. Of all settings that tell images of each class apart it is "
        f"the most: rate {facts['rate']:g}, weight decay {facts['decay']:g}.\n"
    ]


def _truth(rows: pd.DataFrame, truth: np.ndarray, config: ReportJob) -> list[str]:
    """Return what the inferred values are of the images of each true group, where a true attribute is known."""
    import pandas as pd

    if len(config.true_values) < 2:
        return ["No true attribute is known to compare with.\n"]
    lines = ["## Against the true attribute\n"]
    lines.append("It was not used. Training images of each class and true attribute, by the inferred value:\n")
    train = (rows["split"] == "train").to_numpy()
    lines += [_row("true group", *sorted(config.values)), _row(*["---"] * (1 + len(config.values)))]
    for label in sorted(config.labels):
        for value in sorted(config.true_values):
            own = rows[train & (rows["label"] == label).to_numpy() & (truth == value)]
            found = [f"{int((own['attribute'] == other).sum()):,}" for other in sorted(config.values)]
            lines.append(_row(group_name(label, value), *found))
    if set(config.values) == set(config.true_values):
        right = pd.Series(rows["attribute"].to_numpy() == truth).groupby(rows["split"].to_numpy()).mean()
        shares = [f"{split} {right[split]:.2%}" for split in SPLITS if split in right]
        lines.append(f"\nRight: {', '.join(shares)}.")
    return [*lines, ""]


def _sheet(rows: pd.DataFrame, config: ReportJob) -> Iterator[tuple[str, list[Frame]]]:
    """Yield the rows of the sheet: of each value the surest images and the least sure."""
    for value in sorted(config.values):
        own = rows[rows["attribute"] == value].sort_values(["confidence", "id"], ascending=[False, True])
        for name, some in ((f"{value}\nsurest", own.head(SHOWN)), (f"{value}\nleast sure", own.tail(SHOWN)[::-1])):
            yield name, [Frame("0.6", row.file, f"{row.label}\n{row.confidence:.3f}") for row in some.itertuples()]


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
