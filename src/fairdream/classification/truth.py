"""The table of labels that predictions are compared with: which row is which image's, and which images are left out.

What would make an accuracy wrong is refused before the first image is read: a label that is no class, two rows of one
image, a row of several. An image without a row, a label or an attribute has no group; it is classified and counted.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from fairdream.classification.metrics import summarize
from fairdream.data.groups import group_name
from fairdream.data.image_bases import image_bases
from fairdream.data.listing import as_on_disk, one_form, why_no_path
from fairdream.data.table_files import as_text, read_table
from fairdream.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

MOST_SHOWN = 5  # wrong labels that a message names


class Columns(NamedTuple):
    """Names of a table's columns; the attribute's may be missing where no name was given."""

    image: str = "path"
    label: str = "label"
    attribute: str | None = None


USUAL = Columns()


class Row(NamedTuple):
    """What a row says of an image; `number` is where it stands in the file."""

    number: int
    path: str
    label: str
    attribute: str | None

    @property
    def group(self) -> str:
        """The group's name: the label alone where the table has no attributes."""
        return self.label if self.attribute is None else group_name(self.label, self.attribute)


def read_truth(truth: str | Path, columns: Columns = USUAL) -> list[Row]:
    """Return the rows of a table of labels: CSV, TSV, JSON Lines or Parquet.

    Raises
    ------
    UserError
        When it cannot be read, lacks a column, or a cell names no file.
    """
    raw = read_table(Path(truth))
    for what, column in columns._asdict().items():
        if column is not None and column not in raw:
            named = ", ".join(map(str, raw.columns))
            raise UserError(f"{truth}: has no column {column}, only {named}; say --{what}-column NAME")
    attribute = columns.attribute or "attribute"
    paths, labels = as_text(raw[columns.image]), as_text(raw[columns.label])
    attributes = as_text(raw[attribute]) if attribute in raw else [None] * len(raw)
    first = raw.attrs.get("first_row", 2)  # a header, and rows count from one
    rows = [Row(first + number, *cells) for number, cells in enumerate(zip(paths, labels, attributes, strict=True))]
    for row in rows:
        if not row.path.strip():
            raise UserError(
                f"{truth}: row {row.number} names no image: its {columns.image} is empty; fill it in, or remove the row"
            )
        if reason := why_no_path(row.path):
            raise UserError(f"{truth}: row {row.number}: {columns.image}: {reason}")
    return rows


def images_of(truth: str | Path, columns: Columns = USUAL) -> list[Path]:
    """Return the images that a table names: in its folder or the one below it that has most of them, or as written.

    All of a row's where several folders have as many; `match` refuses such a row.
    """
    folder, paths = Path(truth).parent, [row.path for row in read_truth(truth, columns)]
    bases = image_bases(folder, paths) or [folder]
    found = zip(*([base / own if own else None for own in as_on_disk(base, paths)] for base in bases), strict=True)
    return [
        image
        for path, places in zip(paths, found, strict=True)
        for image in ([place for place in places if place] or [Path(path)])
    ]


def place(image: str | Path) -> str:
    """Return where an image lies, however its folder was reached; a link to a file is an image of its own."""
    folder, name = os.path.split(os.path.abspath(image))
    return os.path.join(os.path.realpath(folder), name)


def match(
    images: Sequence[str | Path], classes: Sequence[str], truth: str | Path, columns: Columns = USUAL
) -> tuple[dict[str, Row], list[str]]:
    """Find the rows of images.

    Parameters
    ----------
    images
        That are classified.
    classes
        Of the classifier.
    truth
        Table with the path of each image (from the table's folder or one below it, or as given), its label and, for
        groups, its attribute.
    columns
        Their names in it.

    Returns
    -------
    rows
        By image, of those that have a group.
    notes
        Which images are left out, and how many rows are of no image that is classified, in words.

    Raises
    ------
    UserError
        When a column is missing, an image has two rows or a row several images, a label is no class, or no image has
        a group.
    """
    known = read_truth(truth, columns)
    rows = _rows_by_image(images, truth, known)
    labelled = {image: row for image, row in rows.items() if row.label.strip()}
    whole = {image: row for image, row in labelled.items() if row.attribute is None or row.attribute.strip()}
    attribute = columns.attribute or "attribute"
    notes = []
    used = {row.number for row in rows.values()}
    if others := [row for row in known if row.number not in used]:
        told = f"{len(others)} of {len(known)} rows are of images that were not given"
        notes.append(f"{truth}: {told}, first row {others[0].number}: {others[0].path}")
    for left, kept, reason in (
        (list(map(str, images)), rows, "have no row"),
        (rows, labelled, f"have an empty {columns.label}"),
        (labelled, whole, f"have an empty {attribute}"),
    ):
        without = [image for image in left if image not in kept]
        if without:
            notes.append(
                f"{truth}: {len(without)} of {len(images)} image(s) {reason}, first {without[0]}; classified, "
                "and left out of the accuracies"
            )
    _check_labels(labelled.values(), classes, truth, columns.label)
    if not whole:
        raise UserError(
            f"{truth}: no image has both a label and an attribute: {columns.label} or {attribute} is empty in all "
            f"{len(rows)} rows that are compared; fill them in, or name other columns"
        )
    return whole, notes


def _rows_by_image(images: Sequence[str | Path], truth: str | Path, rows: list[Row]) -> dict[str, Row]:
    """Return the row of each image that has one."""
    folder = Path(truth).parent
    bases = list(dict.fromkeys([*image_bases(folder, [row.path for row in rows]), folder, Path()]))
    given: dict[str, list[str]] = {}
    for image in images:
        given.setdefault(one_form(place(image)), []).append(str(image))
    found: dict[str, Row] = {}
    for row in rows:
        places = dict.fromkeys(one_form(place(base / row.path)) for base in bases)
        own = [image for name in places for image in given.get(name, [])]
        if len(own) > 1:
            raise UserError(
                f"{truth}: row {row.number}: {row.path} fits several images ({', '.join(own[:3])}); write its folder "
                "into the path"
            )
        for image in own:
            if image in found:
                other = found[image]
                told = " and ".join(f"row {one.number} ({one.group})" for one in (other, row))
                raise UserError(f"{truth}: {image} has two rows: {told}; leave one")
            found[image] = row
    if not found:
        raise UserError(f"{truth}: none of its paths is one of the {len(images)} images, e.g. {images[0]}")
    return found


def _check_labels(rows: Iterable[Row], classes: Sequence[str], truth: str | Path, column: str) -> None:
    """Refuse labels that are no class: each of their images would count as a wrong prediction."""
    wrong: dict[str, list[Row]] = {}
    for row in rows:
        if row.label not in classes:
            wrong.setdefault(row.label, []).append(row)
    if not wrong:
        return
    plain = {name.strip().casefold(): name for name in classes}
    told = []
    for label, own in list(wrong.items())[:MOST_SHOWN]:
        near = plain.get(label.strip().casefold())
        hint = f"; is it {near!r}?" if near else ""
        told.append(f"{label!r} ({len(own)} image(s), first in row {min(row.number for row in own)}{hint})")
    if len(wrong) > MOST_SHOWN:
        told.append(f"{len(wrong)} in all")
    raise UserError(
        f"{truth}: {column} has what is no class of the classifier: {', '.join(told)}; its classes are "
        f"{', '.join(classes)}. Write these into the column, or leave the cell empty to leave an image out"
    )


def group_accuracies(table: pd.DataFrame, rows: dict[str, Row]) -> str:
    """Return the accuracy of each group as text.

    Parameters
    ----------
    table
        Predictions: `path`, `predicted`.
    rows
        Of `match`.

    Raises
    ------
    UserError
        When none of the images with a row was classified.
    """
    compared = table[table["path"].isin(rows.keys())]
    if compared.empty:
        raise UserError("no image with a row in the table can be read, so there is no accuracy")
    own = [rows[path] for path in compared["path"]]
    right = [predicted == row.label for predicted, row in zip(compared["predicted"], own, strict=True)]
    counts = compared.assign(right=right, group=[row.group for row in own]).groupby("group")["right"]
    correct, count = counts.sum().astype(int).to_dict(), counts.count().astype(int).to_dict()
    numbers = summarize(correct, count, count)
    width = max(map(len, count))
    lines = []
    for name in count:
        lines.append(f"{name:{width}}  {100 * correct[name] / count[name]:5.1f} %  {correct[name]} of {count[name]}")
    worst, mean, sample = (f"{numbers[key]:.1f} %" for key in ("wga", "aga", "sample"))
    lines.append(f"worst group {worst}, mean over groups {mean}, all images {sample}")
    return "\n".join(lines)
