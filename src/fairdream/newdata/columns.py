"""What the columns and values of a table mean: asked for by name, or known from what data sets call them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from fairdream.errors import UserError
from fairdream.listing import IMAGE_SUFFIXES, as_on_disk, list_files, suffix_of
from fairdream.manifest import image_base
from fairdream.newdata.layouts import SPLIT_WORDS, split_of

if TYPE_CHECKING:
    import pandas as pd

# The usual names, in the order in which they are looked for.
USUAL = {
    "path": ("path", "file_name", "filename", "img_filename", "image_path", "img_path", "image_id", "image", "file"),
    "label": ("label", "class", "y", "category", "target"),
    "attribute": ("attribute", "place", "background", "bias", "a"),
    "split": ("split", "partition", "subset", "set"),
}
OPTIONS = {"path": "IMAGE", "label": "LABEL", "attribute": "ATTRIBUTE", "split": "SPLIT"}
MOST_VALUES = 50  # more of them are no classes: names, or measured numbers
NUMBERED_SPLITS = {"0": "train", "1": "validation", "2": "test"}


def choose_column(table: pd.DataFrame, role: str, asked: str | None, file: Path) -> str | None:
    """Return the column of a role: the one asked for, or the first with a usual name; a split's also by its values.

    Raises
    ------
    UserError
        When the one asked for is not there, or there is none but for the split; with the columns and some values.
    """
    columns = [str(column) for column in table.columns]
    if len(columns) == 1 and (other := next((mark for mark in ";\t|" if mark in columns[0]), None)):
        raise UserError(
            f"{file}: it has one column, {columns[0]!r}, as it is written with {other!r}; save it with commas"
        )
    if asked:
        if asked not in columns:
            near = difflib.get_close_matches(asked, columns, 1)
            hint = f"; did you mean {near[0]}?" if near else "."
            raise UserError(f"{file}: no column {asked} ({OPTIONS[role]}={asked}){hint} It has:\n{_described(table)}")
        return asked
    lowered = {column.lower(): column for column in columns}
    found = next((lowered[name] for name in USUAL[role] if name in lowered), None)
    if found is None and role == "split":
        named = [column for column in columns if _names_splits(table[column])]
        return named[0] if len(named) == 1 else None
    if found is None:
        raise UserError(
            f"{file}: no column has a usual name for the {role} ({', '.join(USUAL[role])}); "
            f"say which one it is with {OPTIONS[role]}=. It has:\n{_described(table)}"
        )
    return found


def _names_splits(values: Iterable[str]) -> bool:
    """Tell whether values are words for splits alone, the training one among two or more."""
    splits = {SPLIT_WORDS.get(value.lower()) for value in set(values)}
    return None not in splits and "train" in splits and len(splits) > 1


def _described(table: pd.DataFrame) -> str:
    lines = []
    for column in table.columns:
        values = sorted(set(table[column]))
        shown = ", ".join(values[:6]) + (", …" if len(values) > 6 else "")
        lines.append(f"  {column}: {len(values)} value(s): {shown}")
    return "\n".join(lines)


def named_values(values: Iterable[str], column: str, option: str, file: Path) -> dict[str, str]:
    """Return a name, fit for paths and groups, for each value of a label's or attribute's column.

    Numbers are named after the column: ``place_0``.

    Raises
    ------
    UserError
        When there are too few or too many values to be classes.
    """
    different = sorted(set(values) - {""}, key=lambda value: (len(value), value) if value.isdigit() else (0, value))
    if not 2 <= len(different) <= MOST_VALUES:
        shown = ", ".join(different[:5]) + ", …" * (len(different) > 5)
        raise UserError(
            f"{file}: the column {column} has {len(different)} different value(s) ({shown}); "
            f"{'an' if option[0] == 'A' else 'a'} {option.lower()} has 2 to {MOST_VALUES}. Choose another column with "
            f"{option}="
        )
    alike: dict[str, str] = {}
    for value in different:
        other = alike.setdefault(" ".join(value.casefold().split()), value)
        # letters may be classes
        if other != value and len(value) > 1:
            raise UserError(f"{file}: {column}: {other!r} and {value!r} differ in case or blanks alone; mend the table")
    names: dict[str, str] = {}
    for value in different:
        text = f"{column}_{value.replace('-', 'minus')}" if re.fullmatch(r"-?\d+(\.\d+)?", value) else value
        name = re.sub(r"[^A-Za-z0-9.]+", "_", text).strip("_.") or f"{option.lower()}_{len(names) + 1}"
        names[f"{name}_{len(names) + 1}" if name in names else name] = value
    return names


def split_values(values: Iterable[str], column: str, file: Path) -> dict[str, str]:
    """Return the value of each split in its column, of ``train``, ``validation`` and ``test`` those that there are.

    Raises
    ------
    UserError
        When a value is none of the usual words, nor all are 0, 1 and 2.
    """
    different = set(values)
    if different <= NUMBERED_SPLITS.keys():
        return {NUMBERED_SPLITS[value]: value for value in sorted(different)}
    found: dict[str, str] = {}
    for value in sorted(different):
        split = SPLIT_WORDS.get(value.lower())
        if split is None or split in found:
            known = ", ".join(SPLIT_WORDS)
            problem = "is no split" if split is None else f"stands for {split}, as does {found[split]!r}"
            raise UserError(
                f"{file}: {column}: {value!r} {problem}; known are {known}, or 0, 1, 2. Mend the column, choose "
                "another with SPLIT=, or SPLIT=none for a seeded split"
            )
        found[split] = value
    return {split: found[split] for split in ("train", "validation", "test") if split in found}


def splits_of_paths(paths: pd.Series) -> list[str | None] | None:
    """Return the splits that the first folder of every path names, if every one does."""
    splits = [split_of(path.split("/")[0]) if "/" in path else None for path in paths]
    return splits if all(splits) else None


def image_folder(folder: Path, paths: pd.Series, file: Path) -> str:
    """Return the folder inside the data set's that a table's paths are relative to.

    Raises
    ------
    UserError
        When there is none where the first images are, or some are missing.
    """
    for path in paths:
        if path.startswith("/") or ".." in path.split("/"):
            raise UserError(f"{file}: {path}: paths must be relative to {folder} or a folder in it, and stay inside")
    base, found = image_base(folder, paths.tolist())
    if found == 0:
        first = paths.iloc[0]
        hint = ""
        if suffix_of(first) not in IMAGE_SUFFIXES:
            hint = "; is it the right column? IMAGE= names another"
            if near := next((own for own in list_files(folder).files if Path(own).stem == Path(first).name), None):
                hint = f", but {folder / near} is: write the endings into the table"
        raise UserError(f"{file}: its image {first} is not in {folder} or in a folder of it{hint}")
    missing = [path for path, own in zip(paths, as_on_disk(base, paths), strict=True) if own is None]
    if missing:
        raise UserError(f"{file}: {len(missing)} of its {len(paths)} images are not in {base}, first {missing[0]}")
    other = next((path for path in paths if suffix_of(path) not in IMAGE_SUFFIXES), None)
    if other:
        raise UserError(f"{file}: {other}: the names of images end in {', '.join(sorted(IMAGE_SUFFIXES))}")
    return "" if base == folder else base.relative_to(folder).as_posix()
