"""What a user wants to know when a run has ended: the table, and where things are."""

from __future__ import annotations

from pathlib import Path


def closing_words(results: str) -> str:
    """Return Table 1 and the places of a run's results; nothing where the run did not make the table."""
    table = Path(results, "tables/table1.md")
    if not table.is_file():
        return ""
    return (
        f"\n{table.read_text(encoding='utf-8')}\n"
        f"Tables:   {results}/tables/table1.csv, .md, .tex\n"
        f"Images:   {results}/DATASET/BIAS/METHOD/images/ (Parquet)\n"
        f"Adapters: {results}/DATASET/BIAS/METHOD/adapters/ (diffusers' format)\n"
        f"Contact sheets: fairdream run RUN figures\n"
        f"All in one file: fairdream report RUN\n"
    )
