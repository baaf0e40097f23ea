"""Tables 1 and 2: mean and deviation over seeds, tidy as CSV and in the paper's shape as Markdown and LaTeX."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from fairdream.data.groups import ORIGINAL
from fairdream.methods import METHODS
from fairdream.reporting.aggregate import AVERAGE, summary, untested
from fairdream.runtime.files import atomic, write_text

if TYPE_CHECKING:
    import pandas as pd


def tabulate(
    metrics: list[str], csv: str, markdown: str, latex: str, mark_all_rows: bool, notes: Sequence[str] = ()
) -> None:
    """Write a table from the metrics of all its classifiers.

    The seeds vary the classifier only; the standard deviation is the population's over them, as NumPy's default. A row
    with the bias ``average`` is the mean of the other biases' means, without a deviation.

    Parameters
    ----------
    mark_all_rows
        Mark best and second among all rows instead of among those with synthetic data, as the paper does.
    notes
        What is said below the table of the data sets, each without a full stop.
    """
    table = summary(metrics)
    with atomic(csv) as path:
        table.to_csv(path, index=False, float_format="%.4f", lineterminator="\n")
    lost = [*(f"{note}." for note in notes), *untested(metrics)]
    write_text(markdown, render_markdown(table, mark_all_rows) + "".join(f"\n**{told}**\n" for told in lost))
    write_text(latex, render_latex(table, mark_all_rows) + "".join(f"% {told}\n" for told in lost))


def render_markdown(table: pd.DataFrame, mark_all_rows: bool) -> str:
    """Return the table in the paper's shape, best bold and second underlined."""
    biases = list(table["bias"].unique())
    head = ["Dataset", "Method", "Synthetic data"] + [f"{_bias_title(b)} {n}" for b in biases for n in ("WGA", "AGA")]
    lines = [head, ["---"] * 3 + ["---:"] * (2 * len(biases))]
    for dataset, method, cells in _rows(table, biases, mark_all_rows, {1: "**{}**", 2: "<u>{}</u>"}, "±"):
        title = METHODS[method].title + (" †" if METHODS[method].reimplemented else "")
        lines.append([dataset, title, "✓" if METHODS[method].synthetic else "✗", *cells])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n\n" + _note(table, mark_all_rows) + "\n"


def render_latex(table: pd.DataFrame, mark_all_rows: bool) -> str:
    """Return the same as a LaTeX tabular (packages booktabs and pifont)."""
    biases = list(table["bias"].unique())
    spans = " & ".join(rf"\multicolumn{{2}}{{c}}{{{_bias_title(bias)}}}" for bias in biases)
    lines = [
        rf"\begin{{tabular}}{{llc{'rr' * len(biases)}}}",
        r"\toprule",
        rf"Dataset & Method & Synthetic Data? & {spans} \\",
        "& & " + " & Worst & Average" * len(biases) + r" \\",
    ]
    last = None
    for dataset, method, cells in _rows(
        table, biases, mark_all_rows, {1: r"\textbf{{{}}}", 2: r"\underline{{{}}}"}, r"$\pm$"
    ):
        lines += [r"\midrule"] if dataset != last else []
        mark = r"\ding{51}" if METHODS[method].synthetic else r"\ding{55}"
        title = METHODS[method].title + (r"$^\dagger$" if METHODS[method].reimplemented else "")
        name = (dataset if dataset != last else "").replace("_", r"\_")
        lines.append(" & ".join([name, title, mark, *cells]) + r" \\")
        last = dataset
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def _rows(
    table: pd.DataFrame, biases: list[str], mark_all_rows: bool, marks: dict[int, str], plus_minus: str
) -> Iterator[tuple[str, str, list[str]]]:
    """Yield dataset, method and the marked cells of each row."""
    for dataset, part in table.groupby("dataset", sort=False):
        for method in [m for m in METHODS if m in set(part["method"])]:
            cells = []
            for bias in biases:
                column = part[part["bias"] == bias]
                for number in ("wga", "aga"):
                    own = column[column["method"] == method]
                    if own.empty:
                        cells.append("")
                        continue
                    value, std = own[f"{number}_mean"].iloc[0], own[f"{number}_std"].iloc[0]
                    text = f"{value:.1f}" + (f" {plus_minus} {std:.1f}" if std == std else "")
                    marked = column if mark_all_rows else column[column["synthetic"]]
                    better = (marked[f"{number}_mean"].round(1) > round(value, 1)).sum() + 1
                    if method in set(marked["method"]) and len(marked) > 1 and better in marks:
                        text = marks[better].format(text)
                    cells.append(text)
            yield str(dataset), method, cells


def _note(table: pd.DataFrame, mark_all_rows: bool) -> str:
    among = "all rows" if mark_all_rows else "the rows with synthetic data"
    seeds = int(table["seeds"].max())
    return (
        f"Accuracies in per cent: worst-group (WGA) and mean over groups (AGA); mean ± standard deviation over {seeds} "
        f"seed(s), which vary the classifier only. The last epoch is evaluated, as in the paper. Best in bold, second "
        f"underlined, among {among}."
    )


def _bias_title(bias: str) -> str:
    return {ORIGINAL: "Original", AVERAGE: "Average"}.get(bias, f"Ratio {bias}")
