"""The values of a data set's section, as its folder and table say them, but for the words that only a person knows."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairdream.cli.new_dataset import columns, render
from fairdream.cli.new_dataset.column_values import check_labels, is_code, named_values, tell_of_values
from fairdream.cli.new_dataset.image_paths import choose_path_column, locate, without_rows
from fairdream.cli.new_dataset.layouts import write_table
from fairdream.cli.new_dataset.links import check_links
from fairdream.cli.new_dataset.options import Options
from fairdream.cli.new_dataset.reading import Read
from fairdream.cli.new_dataset.split_hints import ask_about_files, ask_about_folders
from fairdream.cli.new_dataset.split_statements import LEFT_OUT, PLACES, Statement, parse_values
from fairdream.cli.new_dataset.split_words import SPLITS
from fairdream.cli.new_dataset.splits import stated_split
from fairdream.cli.new_dataset.tables import find_table
from fairdream.config.datasets import UNKNOWN, HeldOut, Source
from fairdream.data.groups import group_name
from fairdream.data.index import read_tables
from fairdream.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

SHARES = {"validation": 0.1, "test": 0.2}


def look(folder: Path, options: Options, notes: list[str]) -> dict[str, Any]:
    """Return the values of the data set's section but for the counts; append to `notes` what was assumed.

    Raises
    ------
    UserError
        When the table or the options do not fit, or what they mean is not certain.
    """
    found = find_table(folder, options.table, options.path, options.split, notes)
    chosen: dict[str, str | None] = {"path": found.path}
    if found.path is None:
        chosen["path"] = choose_path_column(found.table, options.path, folder, found.file, notes)
    located = locate(folder, found.table[chosen["path"]], found.file, options.images)
    unknown = bool(options.attribute_words) or (options.attribute == UNKNOWN and UNKNOWN not in found.table)
    label = chosen["label"] = _choose(found, "label", options.label, notes)
    attribute = _add_unknown(found, options) if unknown else _choose(found, "attribute", options.attribute, notes)
    path, chosen["attribute"] = str(chosen["path"]), attribute
    if label == attribute:
        raise UserError(
            f"{found.file}: {label} is both label and attribute; choose another column with --label or --attribute"
        )
    whole = located.whole()
    stated = _stated(folder, found, whole, (path, label, attribute), options, notes)
    if found.nested:
        notes.append(f"not read, as their cells are lists or the like: {', '.join(found.nested)}")
    _check_twice(whole, stated, found.file)
    told = list(zip(found.table[label], found.table[attribute], stated.splits() if stated else whole, strict=True))
    check_links(folder, whole, told, notes)
    without_rows(folder, whole, found.file, notes)
    if [name.removeprefix("./") for name in found.table[path]] != located.paths:
        found.table[path] = located.paths
        found.changes.append("with the images' paths as they are")
    chosen["split"], split_values = _take_split(found, stated, notes)
    table = found.table
    check_labels(table[label], table[path], found.file)
    values: dict[str, Any] = {
        "folder": folder.as_posix(),
        "origin": f"data of your own, in {folder.as_posix()}",
        "label_values": named_values(table[label], label, "label", found.file),
        "attribute_values": {UNKNOWN: UNKNOWN},
        "split_values": split_values,
        "missing_attribute": "error",
    }
    if not unknown:
        values["attribute_values"] = named_values(table[attribute], attribute, "attribute", found.file)
    _missing(table[attribute] == "", attribute, found.file, options.missing, values, notes)
    where = None if stated is None else PLACES.get(stated.name, f"the column {stated.name}")
    values["held_out"] = _held_out(where, split_values, options, notes, found.source)
    for role in ("label", "attribute"):
        values[f"{role}s"] = {key: _words(key, value) for key, value in values[f"{role}_values"].items()}
    if unknown:
        values["attributes"], values["inference"] = {UNKNOWN: ""}, parse_words(options.attribute_words)
    tell_of_values(table[label], table[attribute], notes)
    values["images"] = located.base
    file = _file_to_read(folder, found, chosen, values, notes)
    return values | {"tables": [{"file": file, **chosen}]}


def _stated(
    folder: Path, found: Read, paths: list[str], others: tuple[str, ...], options: Options, notes: list[str]
) -> Statement | None:
    """Return the split that the table, or the names of folders and files, state; ask about lists that may do so."""
    given = parse_values(options.split_values)
    stated = stated_split(found.table, paths, others, options.split, given, found.file, notes)
    lone = stated is not None and stated.splits().nunique() == 1
    if options.split is None and (stated is None or lone):
        top = options.folder if options.folder and options.folder.is_dir() else Path("data", options.name)
        ask_about_files(
            top if top.is_dir() else folder, found, options.table is not None, stated.name if stated else None
        )
        if stated is None:
            ask_about_folders(folder, paths, found.file)
    return stated


def _choose(found: Read, role: str, asked: str | None, notes: list[str]) -> str:
    """Return the column of a role, see `columns.choose_column`."""
    if asked in found.nested:
        raise UserError(f"{found.file}: each cell of {asked} is a list or the like; one value per image is needed")
    return columns.choose_column(found.table, role, asked, found.file, notes)


def _add_unknown(found: Read, options: Options) -> str:
    """Add the column of an attribute that is unknown for every image; return its name.

    Raises
    ------
    UserError
        When a column is named that has the attribute.
    """
    if options.attribute not in (None, UNKNOWN):
        raise UserError(
            f"--attribute {options.attribute}, and --attribute-words: give the column that has the attribute, or the "
            "words that it is inferred by"
        )
    name = next(name for name in ("attribute", "attribute_unknown", "fairdream_attribute") if name not in found.table)
    found.table = found.table.assign(**{name: UNKNOWN})
    found.changes.append(f"with a column {name}, which is {UNKNOWN}")
    return name


def parse_words(given: Sequence[str], option: str = "--attribute-words") -> dict[str, list[str]] | None:
    """Return the words of each value that ``land=on land,in a forest`` or ``on land`` gives; ``None`` without any.

    Raises
    ------
    UserError
        For fewer than two values, one without words, or one that is given twice.
    """
    words: dict[str, list[str]] = {}
    for text in given:
        name, equals, several = text.rpartition("=")
        own = [word.strip() for word in several.split(",") if word.strip()]
        name = re.sub(r"[^A-Za-z0-9.]+", "_", name if equals else (own or [""])[0]).strip("_.")
        if not own or not name or name in words:
            raise UserError(
                f"{option} {text!r}: expected words for one more value, such as 'on land', or a name and "
                "several: 'land=on land,in a forest'"
            )
        words[name] = own
    if len(words) == 1:
        raise UserError(f"{option} {given[0]!r}: words of two values or more tell them apart; give the others")
    return words or None


def _words(name: str, value: str) -> str:
    """Return the words of a class or attribute: the table's own, which a name has but for letters that paths take."""
    return render.words(name if is_code(value) else value) or render.words(name)


def _check_twice(paths: list[str], stated: Statement | None, file: Path) -> None:
    """Stop where an image has two rows, the more so where these give it two splits."""
    first: dict[str, int] = {}
    splits = stated.splits().tolist() if stated else []
    for row, path in enumerate(paths):
        other = first.setdefault(path, row)
        if other != row:
            two = [splits[other], splits[row]] if splits else []
            told = f", for {two[0]} and for {two[1]}" if len(set(two)) > 1 else f" (rows {other + 2} and {row + 2})"
            raise UserError(f"{file}: {path} stands twice{told}; leave one, or name another column with --image")


def _take_split(found: Read, stated: Statement | None, notes: list[str]) -> tuple[str | None, dict[str, str] | None]:
    """Return the column of the split and its values; a column is added where none says it as a run reads it."""
    if stated is None:
        return None, None
    splits = stated.splits()
    named = [(split, value) for value, split in stated.meaning.items() if (stated.values == value).any()]
    own = stated.name in found.table and stated.values.equals(found.table[stated.name]) and stated.name not in PLACES
    if own and len(named) == splits.nunique() and LEFT_OUT not in set(splits):
        return stated.name, {split: dict(named)[split] for split in SPLITS if split in dict(named)}
    name = stated.name
    if not own:
        name = next(name for name in ("split", "split_read", "split_read_2") if name not in found.table)
    kept = splits != LEFT_OUT
    if not kept.all():
        values = ", ".join(repr(value) for split, value in named if split == LEFT_OUT)
        notes.append(f"{(~kept).sum()} images whose {stated.name} is {values} are left out")
    found.table = found.table.assign(**{name: splits})[kept].reset_index(drop=True)
    found.table = found.table.drop(columns=list(PLACES), errors="ignore")
    found.changes.append("with a column for the splits")
    return name, {split: split for split in SPLITS if split in set(splits)}


def _file_to_read(
    folder: Path, found: Read, chosen: Mapping[str, str | None], values: dict[str, Any], notes: list[str]
) -> str:
    """Return the table that runs read: the data set's, or one of our own where that says less or otherwise."""
    table, original = found.table, found.original
    used = [column for column in chosen.values() if column is not None]
    if original is not None and set(used) <= set(original.columns) and original[used].equals(table[used]):
        return found.file.relative_to(folder).as_posix()
    path = str(chosen["path"])
    if values["images"]:
        table = table.assign(**{path: f"{values['images']}/" + table[path]})
        values["images"] = ""
    name = write_table(folder, table)
    changes = ", ".join(found.changes) or "without the blanks around names and cells"
    notes.append(f"{folder / name} was written, {changes}: a run reads this table")
    return name


def _missing(
    missing: pd.Series, column: str, file: Path, choice: str | None, values: dict[str, Any], notes: list[str]
) -> None:
    """Do with images without an attribute what was chosen; stop when nothing was."""
    if not missing.any():
        return
    told = f"{missing.sum()} of {len(missing)} images have no {column}"
    if choice is None:
        raise UserError(
            f"{file}: {told}. Choose: --missing drop leaves them out; --missing group makes them groups of their own, "
            "`unknown`; or fill the column in"
        )
    if choice == "drop":
        values["missing_attribute"] = "drop"
        notes.append(f"{told} and are left out")
        return
    names = values["attribute_values"]
    own = next((name for name in ("unknown", "not_given") if name not in names), f"unknown_{len(names) + 1}")
    names[own] = ""
    notes.append(f"{told} and are groups of their own, `{own}`")


def _held_out(
    where: str | None, known: dict[str, str] | None, options: Options, notes: list[str], source: str
) -> dict[str, float] | None:
    """Return the shares of the splits that the table does not have; `where` the others are said, if they are."""
    known = known or {}
    if where is not None and "train" not in known:
        raise UserError(
            f"the split ({where}) names no training images, only {', '.join(known)}; --split none for a seeded split"
        )
    lacking = [split for split in SHARES if split not in known]
    asked = {split: getattr(options, f"share_{split}") for split in SHARES}
    for split, share in asked.items():
        if share is not None and split not in lacking:
            raise UserError(f"--{split} {share}: the table has images for it; leave this out, or add --split none")
    shares = {split: SHARES[split] if asked[split] is None else asked[split] for split in lacking}
    if not shares:
        return None
    if min(shares.values()) < 0 or sum(shares.values()) >= 1 or shares.get("test") == 0:
        told = " and ".join(f"--{split} {share:g}" for split, share in shares.items())
        raise UserError(f"{told}: shares of the training images, which have to leave some; --test more than 0")
    what = f"the {source} no split"
    if where is not None:
        what = f"by {where}, no image is for the {' or the '.join(lacking)}"
    told = " and ".join(f"{100 * share:g} % for the {split}" for split, share in shares.items())
    notes.append(f"{what}: a seeded order takes {told} of each group's training images (`held_out`)")
    return shares


def count_groups(values: dict[str, Any], seed: int) -> dict[str, dict[str, int]]:
    """Return the images of each group in each split, as a run will read them; refuse what it would refuse."""
    keys = ("folder", "images", "tables", "label_values", "attribute_values", "split_values", "missing_attribute")
    held_out = HeldOut(**values["held_out"]) if values["held_out"] else None
    source = Source(**{key: values[key] for key in keys}, held_out=held_out, train_counts={})
    table = read_tables(source, seed)
    counts = {
        group_name(label, attribute): dict.fromkeys(SPLITS, 0)
        for label in values["label_values"]
        for attribute in values["attribute_values"]
    }
    for (label, attribute, split), rows in table.groupby(["label", "attribute", "split"]):
        counts[group_name(label, attribute)][split] = len(rows)
    return counts


def example(name: str, notes: list[str]) -> dict[str, Any]:
    """Return values to be edited, where there are no data to look at."""
    groups = {"label": ("one_class", "other_class"), "attribute": ("one_attribute", "other_attribute")}
    values: dict[str, Any] = {f"{role}_values": {key: key for key in names} for role, names in groups.items()}
    values |= {f"{role}s": {key: render.words(key) for key in names} for role, names in groups.items()}
    pairs = [group_name(label, attribute) for label in groups["label"] for attribute in groups["attribute"]]
    notes.append(
        f"data/{name} is not there, so table, names and numbers in the file are examples. Put the images and their "
        f"table there and rewrite it: fairdream new-dataset {name} --force"
    )
    return values | {
        "folder": f"data/{name}",
        "origin": f"data of your own, in data/{name}",
        "images": "",
        "tables": [{"file": "metadata.csv", **{role: role for role in columns.OPTIONS}}],
        "split_values": {split: split for split in SPLITS},
        "held_out": None,
        "missing_attribute": "error",
        "train_counts": dict.fromkeys(pairs, 100),
    }
