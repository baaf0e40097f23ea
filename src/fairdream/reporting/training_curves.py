"""Training curves: the loss of each adapter of a method against the step."""

from __future__ import annotations

from pathlib import Path

from fairdream.runtime.files import atomic

SMOOTH = 5  # rows of a history that a point is the mean of: ten steps each


def training_curves(histories: list[str], figure: str) -> None:
    """Draw the loss of all adapters of a method, one panel per group and one line per adapter.

    The loss of a denoising step depends far more on the step's random time than on the adapter, so lines are running
    means; they tell whether a training went wrong, not which adapter draws the better images.

    Parameters
    ----------
    histories
        ``history.csv`` of each adapter, in a folder with the subject's name.
    """
    import matplotlib
    import pandas as pd

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    groups: dict[str, list[tuple[str, pd.DataFrame]]] = {}
    for path in histories:
        subject = Path(path).parent.name
        groups.setdefault("-".join(subject.split("-")[:2]), []).append((subject, pd.read_csv(path)))
    columns = min(4, len(groups))
    rows = -(-len(groups) // columns)
    canvas, axes = plt.subplots(
        rows, columns, figsize=(3.6 * columns + 0.6, 3.0 * rows + 0.4), squeeze=False, sharex=True, sharey=True
    )
    for axis in axes.flat[len(groups) :]:
        axis.set_visible(False)
    for axis, (group, members) in zip(axes.flat, sorted(groups.items()), strict=False):
        colors = plt.get_cmap("viridis")
        for number, (subject, table) in enumerate(sorted(members, key=lambda member: member[0])):
            smooth = table["loss"].rolling(SMOOTH, min_periods=1, center=True).mean()
            color = colors(0.9 * number / max(1, len(members) - 1))
            label = subject.removeprefix(f"{group}-") if len(members) > 1 else None
            axis.plot(table["step"], smooth, color=color, lw=1.2, label=label)
        axis.set_title(group, fontsize=10)
        axis.grid(alpha=0.3)
        if 1 < len(members) <= 8:
            axis.legend(fontsize=8, frameon=False)
    for axis in axes[:, 0]:
        axis.set_ylabel("loss")
    for column in range(columns):
        [axis for axis in axes[:, column] if axis.get_visible()][-1].set_xlabel("step")
    canvas.tight_layout()
    with atomic(figure) as temporary:
        canvas.savefig(temporary, dpi=110)
    plt.close(canvas)
