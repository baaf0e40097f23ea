"""What looks like a stated split and is not read for certain: it is asked about, never replaced in silence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fairdream.cli.new_dataset.columns import MOST_VALUES
from fairdream.cli.new_dataset.layouts import is_own
from fairdream.cli.new_dataset.nested import may_say_split
from fairdream.cli.new_dataset.parquet import UNPACKED
from fairdream.cli.new_dataset.reading import FOLDERS_SAY, Read
from fairdream.cli.new_dataset.split_statements import PLACES
from fairdream.cli.new_dataset.split_words import NAMES, SPLIT_WORDS, hint_together, hints, split_of, words_of
from fairdream.data.listing import ARCHIVES, TABLE_SUFFIXES, list_files, one_form, suffix_of
from fairdream.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

# Of a column with a cell that is one of these, the others say a split too. A train may be one of several vehicles, and
# what is valid the contrary of what is not.
ALONE = SPLIT_WORDS.keys() - {"train", "valid"}
FEW = 10  # values of a column with one of them
PAIRS = ({"seen", "unseen"}, {"base", "novel"})  # of zero-shot learning
STATING = {"split", "splits", "fold", "folds", "kfold", "partition", "partitions"}  # in a file's name
# Tables, whatever they are called, where the split could only be in one, as class folders say none.
UNREAD_TABLES = (".csv.gz", ".feather", ".ndjson", ".ods", ".pq", ".tab", ".xls", ".xlsx")
LISTS = (
    TABLE_SUFFIXES
    | {".h5", ".hdf5", ".json", ".list", ".lmdb", ".lst", ".mat", ".npy", ".npz", ".pkl", ".tfrecord", ".txt", ".yaml"}
    | {ending for ending in UNREAD_TABLES if ending.count(".") == 1}
)


def column_hints(values: pd.Series) -> bool:
    """Tell whether a column's name, or words in its values, look like a split."""
    different = set(values)
    filled = different - {""}
    if len(different) > MOST_VALUES:
        return False
    words = words_of(str(values.name))
    if NAMES & set(words):
        return True
    # yes or no, in whatever words, though some cells be empty
    if len(different) > 1 and len(filled) <= 2 and hints(str(values.name)):
        return True
    lower = {value.strip().lower() for value in filled}
    if len(filled) <= FEW and (lower & ALONE or lower in PAIRS):
        return True
    return {"train"} < set().union(*map(hints, filled)) or hint_together(filled)


def refuse_classes(folder: Path, names: Iterable[str]) -> None:
    """Stop where folders that would be classes have words for splits in their names.

    Raises
    ------
    UserError
        With the folders. A lone word for a split may be a class: a train is, beside a car.
    """
    names = set(names)
    together = hint_together(names)
    hinting = sorted(name for name in names if together or hints(name))
    said = {split for name in hinting for split in hints(name)}
    if together or len(said) > 1 or "other" in said:
        raise UserError(
            f"{folder}: {', '.join(hinting[:4])}: are these folders splits, or classes? Name splits train, validation "
            "and test, and put them first: train/LABEL/image; for folds, write a table with the path, label, attribute "
            "and split of each image; rename folders of classes"
        )


def ask_about_files(folder: Path, found: Read, chosen: bool, stated: str | None) -> None:
    """Stop where something else may say a split, and what was read says none, or one alone: lists, archives, columns.

    Parameters
    ----------
    chosen
        Whether the table was chosen by name; other tables beside it are then known of.
    stated
        What says that one, as ``--split`` calls it.

    Raises
    ------
    UserError
        With the files.
    """
    table = found.file
    answers = [f"--split {stated} for that of {PLACES.get(stated, stated)} alone"] if stated else []
    answer = f"say {', or '.join([*answers, '--split none for a seeded split of all images'])}"
    files = []
    for path in (folder / name for name in list_files(folder, LISTS | ARCHIVES).files):
        known = path in (table, *found.files) or is_own(path)
        if chosen and path.parent == table.parent and path.suffix.lower() in TABLE_SUFFIXES:
            known = True
        whole = found.source == FOLDERS_SAY and path.name.lower().endswith((*TABLE_SUFFIXES, *UNREAD_TABLES))
        if not known and (whole or hints(path.stem) or STATING & set(words_of(path.stem))):
            files.append(path)
    packed = [path.name for path in files if suffix_of(path.name) in ARCHIVES and not path.name.endswith(UNREAD_TABLES)]
    if packed:
        raise UserError(
            f"{folder}: is a split in {', '.join(packed)}? Nothing is read from there. Unpack it, or {answer}"
        )
    if files:
        shown = ", ".join(map(str, files[:4])) + (", …" if len(files) > 4 else "")
        raise UserError(
            f"{shown}: {'do these files' if len(files) > 1 else 'does this file'} state a split? None is read from "
            f"there. Write a table with a column `split` that says it of each image, or {answer}"
        )
    if columns := [name for name in found.nested if may_say_split(name)]:
        raise UserError(
            f"{table}: does {columns[0]} state a split? Its cells are lists or the like, and not read. Write a column "
            f"of one word an image, or {answer}"
        )


def ask_about_folders(folder: Path, paths: Sequence[str], file: Path) -> None:
    """Stop where images that no row names lie in folders of splits: links to those that rows name, or copies.

    Raises
    ------
    UserError
        With the first of these folders.
    """
    known = {one_form(path) for path in paths}
    lone = [name for name in list_files(folder, without_folders={UNPACKED}).files if one_form(name) not in known]
    named = sorted({part for name in lone for part in name.split("/")[:-1] if split_of(part)})
    if len({split_of(part) for part in named}) > 1:
        raise UserError(
            f"{folder}: do {', '.join(named[:4])} state a split? {len(lone)} image(s) there have no row in "
            f"{file.name}, and are not read. Write a table with a column `split` that says it of each image, or say "
            "--split none for a seeded split of all images"
        )
