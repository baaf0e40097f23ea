"""Put the paper's Table 1 beside ours, cell by cell, in docs/reproduction.md.

    python bench/reproduction.py [results/tables/table1.csv]

Without a table, or where it lacks a row, the cell says what it needs. The text around the table stays.
"""

import argparse
from pathlib import Path

import pandas as pd

from fairdream.methods import METHODS

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs/reproduction.md"
BEGIN, END = "<!-- table -->\n", "<!-- /table -->"
NEEDS = "not run here: needs the data set and GPUs"
COLUMNS = [("original", "wga"), ("original", "aga"), ("0.999", "wga"), ("0.999", "aga")]


def ours(table: pd.DataFrame, dataset: str, bias: str, method: str, number: str) -> str:
    """Return a cell of our table, or what it needs."""
    row = table[(table["dataset"] == dataset) & (table["bias"] == bias) & (table["method"] == method)]
    if row.empty:
        return NEEDS
    mean, std = row[f"{number}_mean"].iloc[0], row[f"{number}_std"].iloc[0]
    return f"{mean:.1f}" if std != std else f"{mean:.1f} ± {std:.2f}"


def main() -> None:
    """Fill the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path, nargs="?")
    arguments = parser.parse_args()
    table = pd.DataFrame(columns=["dataset", "bias", "method"])
    if arguments.table:
        table = pd.read_csv(arguments.table, dtype={"bias": str})
    lines = ["| Data set | Method | Bias | Number | Paper | Ours |", "| --- | --- | --- | --- | ---: | ---: |"]
    for paper in pd.read_csv(HERE / "paper_table1.csv", dtype=str).to_dict("records"):
        for bias, number in COLUMNS:
            cells = [paper["dataset"], METHODS[paper["method"]].title, bias, number.upper(), paper[f"{bias}_{number}"]]
            lines.append(
                "| " + " | ".join([*cells, ours(table, paper["dataset"], bias, paper["method"], number)]) + " |"
            )
    head, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    PAGE.write_text(head + BEGIN + "\n".join(lines) + "\n" + END + rest.split(END)[1], encoding="utf-8")


if __name__ == "__main__":
    main()
