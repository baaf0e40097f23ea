"""The table of a data set's folder: one that lies there, several by split, or one made of what the folder has instead.

Several tables that belong together, a table of each split, are read as one.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from fairdream.cli.new_dataset import parquet
from fairdream.cli.new_dataset.class_folders import read_class_folders
from fairdream.cli.new_dataset.columns import FILE_SPLIT
from fairdream.cli.new_dataset.image_columns import choose_image_column, holds_images
from fairdream.cli.new_dataset.image_paths import choose_path_column, locate
from fairdream.cli.new_dataset.layouts import is_own
from fairdream.cli.new_dataset.reading import FOLDERS_SAY, Read, as_cells, read
from fairdream.cli.new_dataset.split_places import file_splits
from fairdream.cli.new_dataset.split_words import likely_split, split_of, split_of_file
from fairdream.data import listing
from fairdream.data.listing import Listing
from fairdream.errors import UserError

STORED = {".parquet", ".arrow"}  # may hold images
METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")


def find_table(folder: Path, asked: str | None, image: str | None, split: str | None, notes: list[str]) -> Read:
    """Return a data set's table.

    Parameters
    ----------
    asked
        Its name, or several by commas; ``None``: whatever the folder has.
    image
        The column of the images, where it was said.
    split
        The column of the splits, or ``none``, where it was said.

    Raises
    ------
    UserError
        When the folder has no form that is known, or several tables that do not belong together for certain.
    """
    tables = [path for path in listing.tables(folder) if not is_own(path)]
    if asked is not None:
        return _as_one(folder, _named(folder, asked, tables, notes), image, notes)
    found = listing.list_files(folder, listing.IMAGE_SUFFIXES | STORED, without_folders={parquet.UNPACKED})
    stored = [folder / name for name in found.files if listing.suffix_of(name) == ".parquet"]
    if stored := [path for path in stored if holds_images(path)]:
        parquet.check_one_configuration(folder, stored)
        others = [path.name for path in tables if path not in stored]
        if others:
            notes.append(f"the table is that in {stored[0].name}; {', '.join(others)} is not read, else --table")
        return _as_one(folder, stored, image, notes)
    splits = {path: split_of_file(path.stem) for path in tables}
    by_split = [path for path in tables if splits[path] or likely_split(path.stem)]
    metadata = [path for path in tables if path.name in METADATA]
    if by_split and len(by_split) == len(tables) > 1:
        return _as_one(folder, by_split, image, notes)
    if len(tables) == 1 or (len(metadata) == 1 and not by_split):
        table = (metadata or tables)[0]
        if splits[table] not in (None, "train") and split is None:
            raise UserError(
                f"{table}: its name says {splits[table]}, and there is no table of training images. --split none takes "
                "all of its images for a seeded split; --split names its column of splits"
            )
        if len(tables) > 1:
            others = [path.name for path in tables if path != table]
            notes.append(f"the table is {table.name}; {', '.join(others)} is not read, else --table")
        return _as_one(folder, [table], image, notes)
    if tables:
        whole = f"--table {','.join(path.name for path in by_split)} reads these as one. " if len(by_split) > 1 else ""
        raise UserError(
            f"{folder} has several tables: {', '.join(path.name for path in tables)}; choose one with --table. {whole}"
            "What several say of the same images has to be joined in one table first"
        )
    return _without_tables(found, image, notes)


def _without_tables(found: Listing, image: str | None, notes: list[str]) -> Read:
    """Return the table of a folder that has none at its top: those in the folders of the splits, or a new one."""
    folder = found.folder
    below = [path for own in listing.subfolders(folder) for path in listing.tables(own)]
    inner = [path for path in below if path.name in METADATA]
    if inner := inner or [path for path in below if split_of(path.parent.name)]:
        return _as_one(folder, _of_splits(folder, inner, notes), image, notes)
    if any(listing.suffix_of(name) == ".arrow" for name in found.files):
        raise UserError(
            f"{folder}: this was saved with `save_to_disk`; save it as Parquet, one file per split: "
            f"`for split, part in datasets.load_from_disk('{folder}').items(): part.to_parquet(f'{{split}}.parquet')`"
        )
    found.files = [name for name in found.files if listing.suffix_of(name) in listing.IMAGE_SUFFIXES]
    if not found.files:
        if stored := [path for path in below if listing.suffix_of(path.name) == ".parquet"]:
            choose_image_column(stored, image, notes)  # tells of a column that is called as images are
        told = "".join(f"\n{note}" for note in found.told())
        if packed := listing.list_files(folder, listing.ARCHIVES).files:
            told += f"\nUnpack {', '.join(packed[:4])}{', …' * (len(packed) > 4)} first"
        raise UserError(f"{folder}: neither a table (CSV, TSV, JSON Lines, Parquet) nor an image below it{told}")
    return Read(
        folder, read_class_folders(found, notes), path="path", changes=["of the folders' names"], source=FOLDERS_SAY
    )


def _of_splits(folder: Path, files: list[Path], notes: list[str]) -> list[Path]:
    """Return the metadata files in the folders of the splits, one in each."""
    homes = [path.parent for path in files]
    for home in homes:
        if homes.count(home) > 1:
            names = " and ".join(path.name for path in files if path.parent == home)
            raise UserError(f"{home}: it has {names}; leave one of them")
        if split_of(home.name) is None:
            raise UserError(f"{home}: its name says no split; expected train, validation or test")
    lone = [path.name for path in listing.subfolders(folder) if split_of(path.name) and path not in homes]
    if lone:
        notes.append(f"no metadata in {', '.join(lone)}, so the images there are not read")
    return files


def _named(folder: Path, asked: str, tables: list[Path], notes: list[str]) -> list[Path]:
    """Return the tables that --table names."""
    files = [folder / asked] if os.path.isfile(folder / asked) else [folder / name.strip() for name in asked.split(",")]
    for file in files:
        if not os.path.isfile(file):  # also where the name is too long for one
            there = ", ".join(path.name for path in tables)
            raise UserError(f"{file}: no such table; of tables, {folder} has: {there or 'none'}")
    others = [path.name for path in tables if path not in files and likely_split(path.stem)]
    if others and any(likely_split(file.stem) for file in files):
        together = ",".join([*(file.name for file in files), *others])
        notes.append(f"{', '.join(others)} is not read; --table {together} reads them as one")
    return files


def _as_one(folder: Path, files: Sequence[Path], image: str | None, notes: list[str]) -> Read:
    """Return files as one table: as it lies there, or for several with whole paths and a column for their splits."""
    import pandas as pd

    if all(listing.suffix_of(file.name) == ".parquet" for file in files):
        column = choose_image_column(files, image, notes)
        if column is not None:
            table, nested = parquet.unpack(folder, files, column)
            changes = ["with the images unpacked"]
            return as_cells(Read(folder, table, None, changes, nested, "path", "tables say", files))
    if len(files) == 1 and files[0].parent == folder:
        return read(files[0])
    parts, changes, nested = [], [], []
    said = file_splits(folder, files)
    for file in files:
        found = read(file)
        home, split = file.parent, said[file]
        column = choose_path_column(found.table, image, home, file, notes)
        located = locate(home, found.table.pop(column), file, split=split, top=folder)
        up = home.relative_to(folder)
        part = found.table.assign(path=[(up / path).as_posix() for path in located.whole()])
        parts.append(part.assign(**{FILE_SPLIT: split}) if split else part)
        changes += found.changes
        nested += [name for name in found.nested if name not in nested]
    shared = set.intersection(*(set(part.columns) for part in parts))
    whole = pd.concat(parts, ignore_index=True).fillna("")
    if lone := [column for column in whole if column not in shared]:
        notes.append(f"some of the tables alone have the columns {', '.join(lone)}")
    names = ", ".join(file.relative_to(folder).as_posix() for file in files)
    changes = [f"of {names}", *dict.fromkeys(changes)]
    return Read(folder, whole, None, changes, nested, "path", "tables say", files)
