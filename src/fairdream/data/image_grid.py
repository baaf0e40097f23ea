"""A sheet of images: rows with a name, frames with a colour and a word below."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from fairdream.data.images import open_rgb
from fairdream.runtime.files import atomic


class Frame(NamedTuple):
    """An image of a sheet; without a source its place stays empty."""

    color: str
    source: Path | bytes | None
    words: str = ""


def draw_sheet(rows: Sequence[tuple[str, Sequence[Frame]]], title: str, figure: str) -> None:
    """Write a PNG with rows of images and their names."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    width = max(len(frames) for _, frames in rows)
    size = (1.1 * width + 1.4, 1.25 * len(rows) + 0.7)
    canvas, axes = plt.subplots(len(rows), width, figsize=size, squeeze=False, layout="constrained")
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
        axis.set_frame_on(False)
    for line, (name, frames) in zip(axes, rows, strict=True):
        line[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)
        for axis, frame in zip(line, frames, strict=False):
            if frame.source is None:
                continue
            axis.imshow(open_rgb(frame.source))
            axis.set_frame_on(True)
            axis.set_xlabel(frame.words, fontsize=6, labelpad=1)
            for spine in axis.spines.values():
                spine.set(color=frame.color, linewidth=2)
    canvas.suptitle(title, fontsize=11)
    with atomic(figure) as path:
        canvas.savefig(path, dpi=110)
    plt.close(canvas)
