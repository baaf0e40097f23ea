"""What looks like a stated split and is not read for certain: it is asked about, never replaced in silence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from fairdream.cli.new_dataset.columns import FOLDER_SPLIT, MOST_VALUES, NAME_SPLIT
from fairdream.cli.new_dataset.layouts import is_own
from fairdream.cli.new_dataset.split_words import hints, words_of
from fairdream.data.listing import TABLE_SUFFIXES, list_files
from fairdream.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

# Words in a column's name.
NAMES = {"split", "splits", "partition", "subset", "fold", "folds", "kfold", "set", "phase", "usage"}
STATING = {"split", "splits", "fold", "folds", "kfold", "partition", "partitions"}  # in a file's name
LISTS = TABLE_SUFFIXES | {".json", ".list", ".lst", ".mat", ".npy", ".npz", ".pkl", ".txt", ".xls", ".xlsx", ".yaml"}


def column_hints(values: pd.Series) -> bool:
    """Tell whether a column's name, or words in its values, look like a split."""
    different = set(values)
    if len(different) > MOST_VALUES:
        return False
    words = words_of(str(values.name))
    if NAMES & set(words):
        return True
    # yes or no, in whatever words, though some cells be empty
    if len(different) > 1 and len(different - {""}) <= 2 and hints(str(values.name)):
        return True
    said = {split for value in different for split in hints(value)}
    return "train" in said and len(said) > 1


def folder_hints(paths: Sequence[str], columns: Sequence[pd.Series]) -> pd.Series | None:
    """Return of each image the names of its folders with words for splits in them; nothing where none has.

    Not those that have the name of its class or attribute, in `columns`, nor those that all images share.
    """
    import pandas as pd

    folders = [path.split("/")[:-1] for path in paths]
    shared = shared_folders(folders)
    classes = [set(own) for own in zip(*columns, strict=True)]
    found = [
        "/".join(name for name in own[shared:] if name not in known and hints(name))
        for own, known in zip(folders, classes, strict=True)
    ]
    return pd.Series(found, name=FOLDER_SPLIT, dtype=object) if any(found) else None


def shared_folders(folders: Sequence[Sequence[str]]) -> int:
    """Return how many folders, from the first, all images share."""
    shared = 0
    while all(len(own) > shared and own[shared] == folders[0][shared] for own in folders):
        shared += 1
    return shared


def name_hints(paths: Sequence[str]) -> pd.Series | None:
    """Return the words for splits in each image's own name; nothing where they are not for training and another."""
    import pandas as pd

    said = [sorted(hints(PurePosixPath(path).stem)) for path in paths]
    if not {"train"} < {split for own in said for split in own}:
        return None
    return pd.Series(["+".join(own) for own in said], name=NAME_SPLIT, dtype=object)


def refuse_classes(folder: Path, names: Iterable[str]) -> None:
    """Stop where folders that would be classes have words for splits in their names.

    Raises
    ------
    UserError
        With the folders. A lone word for a split may be a class: a train is, beside a car.
    """
    hinting = sorted(name for name in set(names) if hints(name))
    said = {split for name in hinting for split in hints(name)}
    if len(said) > 1 or "other" in said:
        raise UserError(
            f"{folder}: {', '.join(hinting[:4])}: are these folders splits, or classes? Name splits train, validation "
            "and test, and put them first: train/LABEL/image; for folds, write a table with the path, label, attribute "
            "and split of each image; rename folders of classes"
        )


def ask_about_files(folder: Path, table: Path, chosen: bool) -> None:
    """Stop where files beside the table are called as lists of splits are, and nothing that was read says a split.

    Parameters
    ----------
    chosen
        Whether the table was chosen by name; other tables beside it are then known of.

    Raises
    ------
    UserError
        With the files.
    """
    found = []
    for path in (folder / name for name in list_files(folder, LISTS).files):
        known = path == table or is_own(path)
        if chosen and path.parent == table.parent and path.suffix.lower() in TABLE_SUFFIXES:
            known = True
        if not known and (hints(path.stem) or STATING & set(words_of(path.stem))):
            found.append(str(path))
    if found:
        shown = ", ".join(found[:4]) + (", …" if len(found) > 4 else "")
        raise UserError(
            f"{shown}: {'do these files' if len(found) > 1 else 'does this file'} state a split? None is read from "
            "there. Write a table with a column `split` that says it of each image, or say --split none for a seeded "
            "split of all images"
        )
