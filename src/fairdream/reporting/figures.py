"""Figures of numbers: accuracy against bias, accuracy against cost, CLIP scores with the cut."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fairdream.data.groups import ORIGINAL
from fairdream.methods import METHODS
from fairdream.reporting.aggregate import AVERAGE
from fairdream.runtime.files import atomic

if TYPE_CHECKING:
    import pandas as pd


def bias_curves(table: str, figure: str) -> None:
    """Draw WGA and AGA of Table 1 against the bias: one line per method with a band of one deviation over the seeds.

    Biases stand at equal distances in their order, `original` first: ratios such as 0.99 and 0.999 would lie on top
    of each other.
    """
    import pandas as pd

    rows = pd.read_csv(table, dtype={"bias": str})
    rows = rows[rows["bias"] != AVERAGE]
    order = sorted(rows["bias"].unique(), key=lambda bias: 0.0 if bias == ORIGINAL else float(bias))
    datasets = list(rows["dataset"].unique())
    plt = _pyplot()
    canvas, axes = plt.subplots(2, len(datasets), figsize=(5 * len(datasets) + 2, 7), squeeze=False, sharex=True)
    for column, dataset in enumerate(datasets):
        for axis, number in zip(axes[:, column], ("wga", "aga"), strict=True):
            for method, own in _by_method(rows[rows["dataset"] == dataset]):
                own = own.set_index("bias").reindex(order).reset_index()
                mean, std = own[f"{number}_mean"], own[f"{number}_std"]
                (line,) = axis.plot(range(len(order)), mean, **_style(method), label=METHODS[method].title)
                axis.fill_between(range(len(order)), mean - std, mean + std, color=line.get_color(), alpha=0.15, lw=0)
            axis.set(ylim=(-3, 103), ylabel=f"{number.upper()} (%)", xticks=range(len(order)), xticklabels=order)
            axis.grid(alpha=0.3)
        axes[0, column].set_title(dataset)
        axes[1, column].set_xlabel("bias")
    _legend(canvas, axes)
    _save(canvas, figure)


def cost_curve(table: str, figure: str) -> None:
    """Draw WGA and AGA of Table 3 against the hours paid."""
    import pandas as pd

    rows = pd.read_csv(table)
    plt = _pyplot()
    canvas, axis = plt.subplots(figsize=(7, 4.5))
    for number, marker in (("wga", "o"), ("aga", "^")):
        axis.scatter(rows["hours"], rows[number], marker=marker, label=number.upper())
    middle = (rows["hours"].min() + rows["hours"].max()) / 2
    for row in rows.to_dict("records"):
        # names stay inside the frame: to the left of what stands on the right
        side, shift = ("left", 4) if row["hours"] <= middle else ("right", -4)
        place = (row["hours"], row["wga"])
        axis.annotate(METHODS[row["method"]].title, place, (shift, 4), ha=side, textcoords="offset points")
    axis.set(xlabel="hours of fine-tuning, generation and scoring", ylabel="accuracy (%)")
    axis.margins(x=0.3, y=0.15)
    axis.grid(alpha=0.3)
    axis.legend()
    _save(canvas, figure)


def score_histograms(scores: list[str], selected: str, figure: str) -> None:
    """Draw the CLIP scores of each group: all images' CLIP-Label, the chosen ones', and the cut where it is one.

    Parameters
    ----------
    scores
        The method's shards of scores.
    selected
        Its selection.
    """
    import pandas as pd

    table = pd.concat([pd.read_parquet(path, columns=["id", "clip_label"]) for path in scores])
    table["group"] = table["id"].str.split("/").str[0]
    chosen = pd.read_parquet(selected)
    groups = sorted(table["group"].unique())
    plt = _pyplot()
    canvas, axes = plt.subplots(2, len(groups), figsize=(3.2 * len(groups), 5), squeeze=False)
    for column, group in enumerate(groups):
        every, kept = table[table["group"] == group], chosen[chosen["group"] == group]
        bins = pd.cut(every["clip_label"], 30, retbins=True)[1]
        axes[0, column].hist(every["clip_label"], bins, color="lightgrey", label="all")
        axes[0, column].hist(kept["clip_label"], bins, color="goldenrod", label="kept")
        axes[0, column].set(title=group, xlabel="CLIP-Label")
        axes[1, column].hist(kept["score"], 30, color="goldenrod")
        axes[1, column].axvline(kept["score"].min(), color="firebrick", ls="--", label="cut")
        axes[1, column].set(xlabel="CLIP-Score of the kept (eq. 1)")
    axes[0, 0].legend()
    axes[1, 0].legend()
    axes[0, 0].set_ylabel("images")
    axes[1, 0].set_ylabel("images")
    _save(canvas, figure)


def _by_method(rows: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    return [(name, rows[rows["method"] == name]) for name in METHODS if name in set(rows["method"])]


def _style(method: str) -> dict[str, Any]:
    """Return a colour of the method's own, the same in every figure; dashed without synthetic images."""
    position = list(METHODS).index(method)
    line = "-" if METHODS[method].synthetic else "--"
    return {"color": _pyplot().get_cmap("tab20")(position), "ls": line, "marker": "o", "ms": 4}


def _pyplot() -> Any:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    return plt


def _legend(canvas: Any, axes: Any) -> None:
    handles: dict[str, Any] = {}
    for axis in axes.flat:
        handles |= dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True))
    canvas.legend(handles.values(), handles.keys(), loc="center left", bbox_to_anchor=(1.0, 0.5))


def _save(canvas: Any, figure: str) -> None:
    canvas.tight_layout()
    with atomic(figure) as path:
        canvas.savefig(path, dpi=110, bbox_inches="tight")
