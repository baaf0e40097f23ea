"""Where the images lie that a table names: below its folder as written, in a folder of it, or below another prefix."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from fairdream.cli.new_dataset.columns import OPTIONS, USUAL, column_asked, described, usual_columns
from fairdream.cli.new_dataset.parquet import UNPACKED
from fairdream.cli.new_dataset.split_words import split_of
from fairdream.data.image_bases import SOME, image_bases
from fairdream.data.listing import IMAGE_SUFFIXES, as_on_disk, list_files, one_form, suffix_of, why_no_path
from fairdream.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

USUAL_FOLDERS = ("images", "image", "imgs", "img")


class Located(NamedTuple):
    """Images that were found: `base`, the folder that `paths` start from, relative to the one that was searched."""

    base: str
    paths: list[str]

    def whole(self) -> list[str]:
        """Return the paths from the folder that was searched."""
        return [f"{self.base}/{path}" if self.base else path for path in self.paths]


def choose_path_column(table: pd.DataFrame, asked: str | None, folder: Path, file: Path, notes: list[str]) -> str:
    """Return the column with the images' paths: the one asked for, or the usual one whose files are there.

    Raises
    ------
    UserError
        When no column has a usual name, files of another one alone are there, or those of two.
    """
    if asked is not None:
        return column_asked(table, "path", asked, file)
    usual = usual_columns(table, "path", file)
    if not usual:
        raise UserError(
            f"{file}: no column has a usual name for the path ({', '.join(USUAL['path'])}); "
            f"say which one it is with {OPTIONS['path']}. It has:\n{described(table)}"
        )
    found = _found(folder, table[usual])
    if not found:
        others = _found(folder, table.drop(columns=usual))
        if others:
            shown = " or ".join(f"--image {column}" for column in others)
            filled = table[usual[0]][table[usual[0]] != ""]
            if len(filled) < len(table):
                raise UserError(
                    f"{file}: {len(table) - len(filled)} of {len(table)} rows have no {usual[0]}; fill them in, remove "
                    f"them, or say which other column names the images: {shown}"
                )
            raise UserError(
                f"{file}: the files that the column {usual[0]} names, such as {filled.iloc[0]}, are not there; those "
                f"of {', '.join(others)} are. Say {shown}"
            )
        return usual[0]
    if len(set(found.values())) > 1:
        shown = " or ".join(f"--image {column}" for column in found)
        raise UserError(f"{file}: the columns {', '.join(found)} name files that are there; say {shown}")
    chosen = next(iter(found))
    if chosen != usual[0]:
        notes.append(f"the images are those of the column {chosen}: files that {usual[0]} names are not there")
    more = [name for name, own in _found(folder, table.drop(columns=usual)).items() if own != found[chosen]]
    if more:
        notes.append(
            f"the images are those of the column {chosen}; the files of {' and '.join(more)} are there as well, "
            f"else --image {more[0]}"
        )
    return chosen


def _found(folder: Path, table: pd.DataFrame) -> dict[str, tuple[Path, ...]]:
    """Return where the first images of each column are, of those columns whose are; as written, if any's are so."""
    some = {column: table[column].iloc[:SOME].tolist() for column in table}
    first = {
        column: _cleaned(folder, cells)
        for column, cells in some.items()
        if all(suffix_of(cell) in IMAGE_SUFFIXES for cell in cells)
    }
    shorter = {column: _without_prefix(folder, paths) for column, paths in first.items()}
    for paths in (first, shorter):
        found = {column: (bases[0], own) for column, own in paths.items() if (bases := image_bases(folder, own))}
        if found:
            return {column: tuple(base / path for path in own) for column, (base, own) in found.items()}
    return {}


def locate(
    folder: Path,
    cells: pd.Series,
    file: Path,
    images: str | None = None,
    split: str | None = None,
    top: Path | None = None,
) -> Located:
    """Return where the images of a table lie.

    Parameters
    ----------
    folder
        What is searched: the data set's folder, or that of the table.
    cells
        The column of the images' paths.
    images
        The folder in it that paths start from, where that was said.
    split
        Of two folders that both have the images, the one with this split's name is meant.
    top
        The data set's folder, where another one is searched: a message names an image that lies there.

    Raises
    ------
    UserError
        When a cell is no path, or images are missing, or lie in two folders with the same names.
    """
    _check_cells(cells, file)
    cleaned = _cleaned(folder, cells.tolist())
    outside = next((path for path in cleaned if ".." in path.split("/")), None)
    if images is not None:
        if not (folder / images).is_dir():
            raise UserError(f"--images {images}: no such folder in {folder}")
        bases = [folder / images]
    else:
        bases = image_bases(folder, cleaned) if outside is None else []
    if not bases and outside is None:
        shorter = _without_prefix(folder, cleaned)
        if shorter:
            cleaned, bases = shorter, image_bases(folder, shorter)
    outside = outside or next((path for path in cleaned if path.startswith("/") and not bases), None)
    if outside is not None:
        raise UserError(f"{file}: {outside}: paths must be relative to {folder} or a folder in it, and stay inside")
    complete = [base for base in bases if None not in as_on_disk(base, cleaned)]
    if complete:
        base = _one(complete, folder, cleaned[0], file, split)
        if images is None and split is None and base != folder and base.name.lower() not in USUAL_FOLDERS:
            _ask_about_copies(folder, base, cleaned, file)
    elif images is None and (spread := _spread(folder, cleaned, file)):
        base, cleaned = folder, spread
    else:
        _tell_missing(folder, bases, cleaned, file, top)
    other = next((path for path in cleaned if suffix_of(path) not in IMAGE_SUFFIXES), None)
    if other:
        raise UserError(f"{file}: {other}: the names of images end in {', '.join(sorted(IMAGE_SUFFIXES))}")
    return Located("" if base == folder else base.relative_to(folder).as_posix(), cleaned)


def _check_cells(cells: pd.Series, file: Path) -> None:
    for row, path in enumerate(cells, 2):
        if not path:
            raise UserError(f"{file}: row {row}: the cell of its image is empty; fill it in, or remove the row")
        if reason := why_no_path(path):
            raise UserError(f"{file}: row {row}: {cells.name}: {reason}")


def _cleaned(folder: Path, paths: Sequence[str]) -> list[str]:
    """Return paths with slashes and without ``./``; relative to the folder where they are whole paths into it."""
    home = folder.resolve()
    cleaned = []
    for path in paths:
        # a name may have a backslash in it, though hardly on purpose
        plain = PurePosixPath(path if "\\" not in path or os.path.isfile(folder / path) else path.replace("\\", "/"))
        cleaned.append((plain.relative_to(home) if plain.is_relative_to(home) else plain).as_posix())
    return cleaned


def _without_prefix(folder: Path, paths: Sequence[str]) -> list[str]:
    """Return paths without the folders that all begin with and that are not there; nothing if no image is found so."""
    parts = [PurePosixPath(path).parts for path in paths]
    shared = 0
    while all(len(own) > shared + 1 and own[shared] == parts[0][shared] for own in parts):
        shared += 1
    for count in range(1, shared + 1):
        shorter = ["/".join(own[count:]) for own in parts]
        if image_bases(folder, shorter):
            return shorter
    return []


def _one(bases: list[Path], folder: Path, path: str, file: Path, split: str | None) -> Path:
    """Return the folder that the paths start from, of those that have all images."""
    if len(bases) > 1 and split is not None:
        bases = [base for base in bases if split_of(base.name) == split] or bases
    if len(bases) > 1:
        bases = [base for base in bases if base.name.lower() in USUAL_FOLDERS] or bases
    if len(bases) > 1:
        shown = " or ".join(f"--images {base.relative_to(folder).as_posix()}" for base in bases)
        raise UserError(
            f"{file}: {path} and all others are in several folders; say which one has the images: {shown}, or write "
            "the folder into each path"
        )
    return bases[0]


def _ask_about_copies(folder: Path, base: Path, paths: Sequence[str], file: Path) -> None:
    """Stop where the first images lie elsewhere too, under the same names and at whatever depth."""
    there = [f"/{one_form(name)}" for name in list_files(folder).files]
    home = one_form(base.relative_to(folder).as_posix())
    for path in map(one_form, paths[:SOME]):
        if other := next((own for own in there if own.endswith(f"/{path}") and own != f"/{home}/{path}"), None):
            raise UserError(
                f"{file}: {path} is in several folders ({home}/{path}, {other[1:]}); say which one has the images: "
                f"--images {home} or --images {other[1 : -len(path) - 1] or '.'}, or write the folder into each path"
            )


def without_rows(folder: Path, paths: Sequence[str], file: Path, notes: list[str]) -> None:
    """Tell of the images in a data set's folder that its table does not name."""
    known = {one_form(path) for path in paths}
    there = list_files(folder, without_folders={UNPACKED}).files
    if lone := [name for name in there if one_form(name) not in known]:
        where = file.name if file.is_file() else "its tables"
        notes.append(f"{len(lone)} image(s) in {folder} have no row in {where} and are not read, first {lone[0]}")


def _tell_missing(folder: Path, bases: list[Path], paths: list[str], file: Path, top: Path | None) -> NoReturn:
    first, hint = paths[0], ""
    if bases:
        missing = [path for path, own in zip(paths, as_on_disk(bases[0], paths), strict=True) if own is None]
        hint = _spelled_otherwise(bases[0], missing[0])
        raise UserError(
            f"{file}: {len(missing)} of its {len(paths)} images are not in {bases[0]}, first {missing[0]}{hint}"
        )
    if suffix_of(first) not in IMAGE_SUFFIXES:
        hint = "; is it the right column? --image names another"
        if near := next((own for own in list_files(folder).files if Path(own).stem == Path(first).name), None):
            hint = f", but {folder / near} is: write the endings into the table"
    else:
        hint = _spelled_otherwise(folder, first)
    if top and top != folder:
        elsewhere = [own for own in list_files(top).files if f"/{own}".endswith(f"/{first}")]
        if elsewhere:
            hint = f", but {top / elsewhere[0]} is: move the table to {top}"
    raise UserError(f"{file}: its image {first} is not in {folder} or in a folder of it{hint}")


def _spelled_otherwise(folder: Path, path: str) -> str:
    """Return a hint at a file whose name differs in case or in its ending alone; nothing where there is none."""
    stem = os.path.splitext(f"/{path}")[0].casefold()
    near = [own for own in list_files(folder).files if os.path.splitext(f"/{own}")[0].casefold().endswith(stem)]
    return f", but {folder / near[0]} is: write the names into the table as the files have them" if near else ""


def _spread(folder: Path, paths: Sequence[str], file: Path) -> list[str]:
    """Return the paths of images that lie in several folders below, each once; nothing when one is not there."""
    there: dict[str, list[str]] = {}
    for name in list_files(folder).files:
        there.setdefault(PurePosixPath(name).name, []).append(name)
    found = []
    for path in paths:
        ends = [own for own in there.get(PurePosixPath(path).name, []) if f"/{own}".endswith(f"/{path}")]
        if not ends:
            return []
        if len(ends) > 1:
            raise UserError(
                f"{file}: {path} is in several folders ({', '.join(ends[:3])}); write its folder into the path"
            )
        found += ends
    return found
