"""What is told of an audit: its page and its figure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fairdream.data.association import strength
from fairdream.data.groups import label_of
from fairdream.runtime.files import atomic

if TYPE_CHECKING:
    import pandas as pd

    from fairdream.data.audit import AuditJob

VERDICTS = (
    "few: it works, with fewer images than it is made for; swapped: no adapter, the images come from the aligned group "
    "of the class; too small: the run stops before its first job.\n"
)


def title_of(dataset: str) -> str:
    """Return the title of a data set's audit."""
    return f"{dataset}: are class and attribute associated?"


def audit_page(
    bias: str,
    counts: pd.DataFrame,
    found: dict[str, Any],
    verdicts: dict[str, dict[str, str]],
    suggested: dict[str, Any],
    config: AuditJob,
) -> str:
    """Return what is told of one bias, as Markdown that reads on a terminal too."""
    train = counts["train"]
    groups = [["group", "", "train", "of class", "if independent", "validation", "test"]]
    for name, row in counts.iterrows():
        own = [other for other in counts.index if label_of(other) == label_of(str(name))]
        kind = "aligned" if config.aligned[label_of(str(name))] == name else "conflicting"
        share = row["train"] / max(1, train[own].sum())
        numbers = [f"{row['train']:,}", f"{share:.1%}", f"{found['expected'][name]:,.1f}"]
        groups.append([str(name), kind, *numbers, f"{row['validation']:,}", f"{row['test']:,}"])
    methods = [["method", "made for", *counts.index]]
    reasons: dict[str, list[str]] = {}
    for method in config.methods:
        advised = f"{method['advised']:,} images" if method["advised"] else "any number"
        methods.append([method["name"], advised, *(verdicts[method["name"]][name] for name in counts.index)])
        reasons.setdefault(method["why"], []).append(method["name"])
    small = [f"{name} {n}" for name, n in counts["test"].items() if n < config.small_group]
    lines = [
        f"## Bias level {bias}: class and attribute are {strength(found['cramers_v'])} associated "
        f"(V = {found['cramers_v']:.2f})\n",
        f"{found['bias_ratio']:.1%} of the training images have the attribute that goes with their class.\n",
        _table(groups, right=range(2, 7)),
        f"\n- Cramér's V of label and attribute: {found['cramers_v']:.3f} (0: independent, 1: one gives the other; "
        f"chi² test: p {_p_value(found['p_value'])}).",
        f"- Bias ratio: {found['bias_ratio']:.2%} of the images are aligned; in the class where it is lowest "
        f"{found['lowest_bias_ratio']:.2%}.",
        f"- The attribute alone names the label of {found['attribute_only']:.1%} of the training images; always the "
        f"most frequent label: {found['majority']:.1%}.",
        f"- Smallest group: {found['smallest']}, {found['smallest_images']:,} images.",
    ]
    if small:
        lines.append(
            f"- Test groups of fewer than {config.small_group} images, whose accuracy says little: {', '.join(small)}."
        )
    beside = f" Beside it: {suggested['beside'].replace(' ', ', ')}." if suggested["beside"] else ""
    return "\n".join(
        [
            *lines,
            f"- **Suggested method: {suggested['method']}**: {suggested['method_reason']}.{beside}",
            f"- **Suggested k: {suggested['k']}**: {suggested['k_reason']}.",
            "\nWhich groups are large enough for which method:\n",
            _table(methods, right=()),
            f"\n{VERDICTS}",
            *(f"- {', '.join(names)}: {why}." for why, names in reasons.items()),
            "",
        ]
    )


def _p_value(value: float) -> str:
    return f"= {value:.2g}" if value > 1e-16 else "< 1e-16"


def _table(rows: list[list[str]], right: Any) -> str:
    """Return a Markdown table whose columns stand in line, as a terminal needs it."""
    widths = [max(3, *map(len, column)) for column in zip(*rows, strict=True)]
    rule = ["-" * (width - 1) + (":" if place in right else "-") for place, width in enumerate(widths)]
    lines = [
        [
            cell.rjust(w) if place in right else cell.ljust(w)
            for place, (cell, w) in enumerate(zip(row, widths, strict=True))
        ]
        for row in rows
    ]
    return "\n".join("| " + " | ".join(line) + " |" for line in [lines[0], rule, *lines[1:]])


def draw_audit(table: pd.DataFrame, figure: str) -> None:
    """Draw the training images of each group, one bar per bias, on a logarithmic axis."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    groups, biases = list(table["group"].unique()), list(table["bias"].unique())
    canvas, axis = plt.subplots(figsize=(2 + 1.1 * len(groups), 3.6))
    width = 0.8 / len(biases)
    for place, bias in enumerate(biases):
        numbers = table[table["bias"] == bias].set_index("group")["train"].reindex(groups)
        at = [n + (place - (len(biases) - 1) / 2) * width for n in range(len(groups))]
        axis.bar_label(axis.bar(at, numbers, width, label=bias), fmt="{:,.0f}", fontsize=7)
    axis.set(xticks=range(len(groups)), yscale="log", ylabel="training images", title=table["dataset"].iloc[0])
    axis.set_xticklabels(groups, rotation=20, ha="right")
    axis.margins(y=0.15)
    axis.legend(title="bias")
    canvas.tight_layout()
    with atomic(figure) as path:
        canvas.savefig(path, dpi=110)
    plt.close(canvas)
