"""Sheets of images: real beside generated ones, two methods side by side, clusters with their sizes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from fairdream.data.image_grid import Frame, draw_sheet
from fairdream.data.images import read_pngs

if TYPE_CHECKING:
    import pandas as pd

REAL, GENERATED = "red", "gold"  # frames, as in the paper


def contact_sheet(split: str, selected: str, figure: str, columns: int) -> None:
    """Write a PNG with the first training images (red) and selected images (yellow) of each group (paper, Fig. 4).

    Parameters
    ----------
    columns
        Images of each kind in a row.
    """
    import pandas as pd

    real = pd.read_parquet(split)
    real = real[real["split"] == "train"]
    chosen = pd.read_parquet(selected)
    rows = []
    for group in sorted({*real["group"], *chosen["group"]}):
        own = real[real["group"] == group].head(columns)
        frames = [Frame(REAL, path) for path in _paths(own)]
        frames += [Frame("white", None)] * (columns - len(frames))
        rows.append((group, frames + [Frame(GENERATED, png) for png in _drawn(chosen, group, columns)]))
    draw_sheet(rows, "training images (red) and generated ones (yellow)", figure)


def compare(split: str, selections: list[str], titles: list[str], figure: str, group: str, columns: int) -> None:
    """Write a PNG with a group's training images and each selection's, a row each (paper, Fig. 5)."""
    import pandas as pd

    real = pd.read_parquet(split)
    real = real[(real["split"] == "train") & (real["group"] == group)].head(columns)
    rows = [("training", [Frame(REAL, path) for path in _paths(real)])]
    for path, title in zip(selections, titles, strict=True):
        rows.append((title, [Frame(GENERATED, png) for png in _drawn(pd.read_parquet(path), group, columns)]))
    draw_sheet(rows, group, figure)


def clusters(index: str, figure: str, columns: int) -> None:
    """Write a PNG with the first members of each subject, and its size.

    Parameters
    ----------
    index
        ``index.json`` of a method's subjects; their member files lie beside it.
    """
    sizes = json.loads(Path(index).read_text(encoding="utf-8"))
    rows = []
    for subject in sorted(sizes):
        members = json.loads(Path(index).with_name(f"{subject}.json").read_text(encoding="utf-8"))["images"]
        frames = [Frame(REAL, Path(image["path"])) for image in members[:columns]]
        rows.append((f"{subject}\n{len(members)} images", frames))
    draw_sheet(rows, "what each adapter learns", figure)


def _paths(rows: pd.DataFrame) -> list[Path]:
    return [Path(folder, path) for folder, path in rows[["folder", "path"]].to_numpy()]


def _drawn(chosen: pd.DataFrame, group: str, count: int) -> list[bytes]:
    """Return selected images of a group, evenly over the ids, so that every subject of it is seen."""
    own = chosen[chosen["group"] == group].sort_values("id")
    own = own.iloc[:: max(1, len(own) // count)].head(count)
    return [read_pngs(shard)[name] for name, shard in zip(own["id"], own["shard"], strict=True)]
