"""Contact sheets: real images beside generated ones, a row a group (paper, Fig. 4)."""

from __future__ import annotations

from pathlib import Path

from fairdream.files import atomic
from fairdream.images import open_rgb, read_pngs


def plot(split: str, selected: str, figure: str, columns: int) -> None:
    """Write a PNG with the first training images (red frame) and selected images (yellow frame) of each group.

    Parameters
    ----------
    columns
        Images of each kind in a row.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    import pandas as pd

    real = pd.read_parquet(split)
    real = real[real["split"] == "train"]
    chosen = pd.read_parquet(selected)
    groups = sorted(real["group"].unique())
    canvas, axes = plt.subplots(
        len(groups), 2 * columns, figsize=(1.1 * 2 * columns, 1.25 * len(groups)), squeeze=False
    )
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
        axis.set_frame_on(False)
    for row, group in zip(axes, groups, strict=True):
        row[0].set_ylabel(group)
        paths = [Path(f, p) for f, p in real.loc[real["group"] == group, ["folder", "path"]].head(columns).to_numpy()]
        # evenly over the ids, so that every subject of the group is seen
        own = chosen[chosen["group"] == group].sort_values("id")
        own = own.iloc[:: max(1, len(own) // columns)].head(columns)
        pngs = [read_pngs(shard)[name] for name, shard in zip(own["id"], own["shard"], strict=True)]
        for start, sources, color in ((0, paths, "red"), (columns, pngs, "gold")):
            for axis, source in zip(row[start:], sources, strict=False):
                axis.imshow(open_rgb(source))
                axis.set_frame_on(True)
                for spine in axis.spines.values():
                    spine.set(color=color, linewidth=2)
    canvas.suptitle("training images (red) and generated ones (yellow)")
    canvas.tight_layout()
    with atomic(figure) as path:
        canvas.savefig(path, dpi=110)
