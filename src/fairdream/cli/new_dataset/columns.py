"""Which columns of a table hold the class and the attribute: asked for by name, or known from their usual names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from fairdream.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

# The usual names, in the order in which they are looked for.
USUAL = {
    "path": (
        *("path", "file_name", "filename", "file_path", "filepath"),
        *("image_file_name", "image_filename", "img_file_name", "img_filename", "image_path", "img_path"),
        *("image_name", "img_name", "image_id", "image", "file"),
    ),
    "label": ("label", "class", "y", "category", "target"),
    "attribute": ("attribute", "place", "background", "bias", "a"),
    "split": ("split", "partition", "subset", "set"),
}
OPTIONS = {"path": "--image", "label": "--label", "attribute": "--attribute", "split": "--split"}
MOST_VALUES = 50  # more of them are no classes: names, or measured numbers
# Columns of what names of tables, of folders and of images say.
FILE_SPLIT, FOLDER_SPLIT, NAME_SPLIT = "split_of_file", "split_of_folder", "split_of_name"


def choose_column(table: pd.DataFrame, role: str, asked: str | None, file: Path, notes: list[str]) -> str:
    """Return the column of the label or the attribute: the one asked for, or the first with a usual name.

    Raises
    ------
    UserError
        When the one asked for is not there, or there is none; with the columns and some values.
    """
    if asked is not None:
        return column_asked(table, role, asked, file)
    found = usual_columns(table, role, file)
    if not found:
        raise UserError(
            f"{file}: no column has a usual name for the {role} ({', '.join(USUAL[role])}); "
            f"say which one it is with {OPTIONS[role]}. It has:\n{described(table)}"
        )
    if len(found) > 1:
        others = " and ".join(found[1:])
        notes.append(f"{found[0]} is taken for the {role}, not {others}; else {OPTIONS[role]} {found[1]}")
    return found[0]


def column_asked(table: pd.DataFrame, role: str, asked: str, file: Path) -> str:
    """Return the column that an option names.

    Raises
    ------
    UserError
        When there is none; with the one that is called alike, and all with some values.
    """
    if asked not in table:
        near = difflib.get_close_matches(asked, list(table), 1)
        hint = f"; did you mean {near[0]}?" if near else "."
        raise UserError(f"{file}: no column {asked} ({OPTIONS[role]} {asked}){hint} It has:\n{described(table)}")
    return asked


def usual_columns(table: pd.DataFrame, role: str, file: Path) -> list[str]:
    """Return the columns with usual names for a role, the most usual first.

    Raises
    ------
    UserError
        When two differ in upper and lower case alone.
    """
    found: list[str] = []
    for name in USUAL[role]:
        alike = [column for column in table if column.lower() == name]
        if len(alike) > 1:
            raise UserError(f"{file}: the columns {' and '.join(alike)} differ in case alone; say {OPTIONS[role]}")
        found += alike
    return found


def described(table: pd.DataFrame) -> str:
    """Return the columns with the number of their values and some of these, a line each."""
    return "\n".join(f"  {column}: {shown(table[column])}" for column in table)


def shown(values: Iterable[str]) -> str:
    """Return how many values there are, and some of them."""
    different = sorted(set(values))
    return f"{len(different)} value(s): {', '.join(different[:6])}" + (", …" if len(different) > 6 else "")
