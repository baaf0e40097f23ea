"""Cells that are no words or numbers: bytes, lists and structs, of which those that may say a split are read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from fairdream.cli.new_dataset.split_words import NAMES, hints, words_of

if TYPE_CHECKING:
    import pandas as pd


def may_say_split(name: str, fields: Iterable[str] = ()) -> bool:
    """Tell whether a column, or a field of its structs, is called as a split is."""
    return any(NAMES & set(words_of(own)) or hints(own) for own in map(str, (name, *fields)))


def nested_columns(table: pd.DataFrame) -> list[str]:
    """Return the columns of which some cells are bytes, lists or structs."""
    return [name for name in table if table[name].map(_is_nested).any()]


def unnested(table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Return a table whose nested columns are no more, and the names of those that were dropped.

    What may say a split is kept: bytes as text, the one thing in a list, a field of a struct as a column such as
    ``meta.split``.
    """
    nested = nested_columns(table)
    kept: dict[str, pd.Series] = {}
    for name in nested:
        cells = {name: table[name].map(_bare)}
        keys = {key for cell in cells[name] if isinstance(cell, dict) for key in cell if f"{name}.{key}" not in table}
        for key in sorted(keys, key=str):
            fields = [cell.get(key) if isinstance(cell, dict) else None for cell in cells[name]]
            cells[f"{name}.{key}"] = table[name].__class__(fields, index=table.index, dtype=object).map(_bare)
        own = {key: column for key, column in cells.items() if may_say_split(key) and not column.map(_is_nested).any()}
        kept |= own
    rest = table.drop(columns=nested).assign(**kept)
    order = [name for name in table if name in rest]
    return rest[[*order, *(name for name in rest if name not in order)]], [name for name in nested if name not in kept]


def _is_nested(value: Any) -> bool:
    return isinstance(value, (bytes, dict, list, tuple)) or (hasattr(value, "shape") and value.shape != ())


def _bare(value: Any) -> Any:
    """Return the text of bytes, and the one thing in a list; else what was given."""
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return value
    single = _is_nested(value) and not isinstance(value, dict) and len(value) == 1
    return _bare(value[0]) if single else value
