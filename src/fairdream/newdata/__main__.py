"""Write and check ``config/NAME.yaml`` for data of one's own: ``make new-dataset NAME=birds``.

Looks at the folder and its table (or makes one, see `layouts`), finds classes, attributes, splits and group sizes, and
tells what it found, what it assumed and what to run next.
"""

from __future__ import annotations

import argparse
import difflib
import re
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairdream import plan, preflight
from fairdream.bias import aligned_groups, group_name
from fairdream.config import load_config
from fairdream.dataset import HeldOut, Source
from fairdream.download import is_unpacked, unpack
from fairdream.errors import UserError
from fairdream.files import write_text
from fairdream.index import as_text, read_table, read_tables
from fairdream.newdata import columns, layouts, render
from fairdream.newdata.trial import write_trial

if TYPE_CHECKING:
    import pandas as pd

SHARES = {"validation": 0.1, "test": 0.2}
SPLITS = ("train", "validation", "test")


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Return the options; the variables of `make new-dataset` have the same names."""
    parser = argparse.ArgumentParser(prog="python -m fairdream.newdata", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("name", help="of the data set, in paths and tables")
    parser.add_argument("--folder", type=Path, help="with the images, or a zip or tar of it; by default data/NAME")
    parser.add_argument("--table", help="file in the folder; by default the only one there")
    for role, option in columns.OPTIONS.items():
        parser.add_argument(f"--{option.lower()}", help=f"column of the {role}", dest=role)
    parser.add_argument("--missing", choices=["drop", "group"], help="images without an attribute: leave out, or group")
    for split, share in SHARES.items():
        help_ = f"share of each group for the {split}, where the table has none: {share}"
        parser.add_argument(f"--{split}", type=float, help=help_, dest=f"share_{split}")
    parser.add_argument("--base", type=Path, default=Path("config.yaml"), help="configuration of the other sections")
    parser.add_argument("--force", action="store_true", help="write config/NAME.yaml anew")
    parser.add_argument("--trial", action="store_true", help="also config/NAME-trial.yaml, what `make trial` runs")
    return parser.parse_args(arguments)


def find_folder(options: argparse.Namespace) -> Path | None:
    """Return the data set's folder; unpack an archive to ``data/NAME`` first. ``None``: no data yet, and none named.

    Raises
    ------
    UserError
        When the folder named is not there; names the one that is called alike.
    """
    folder = options.folder or Path("data", options.name)
    if folder.is_file():
        if not (zipfile.is_zipfile(folder) or tarfile.is_tarfile(folder)):
            raise UserError(
                f"FOLDER={folder}: no folder, nor a zip or tar of one; did you mean FOLDER={folder.parent}?"
            )
        target = Path("data", options.name)
        if not target.exists():
            unpack(folder, target)
            print(f"{folder}: unpacked into {target}")
        elif not is_unpacked(folder, target):
            raise UserError(f"{target} is there already: give it as FOLDER=, or remove it to unpack {folder} anew")
        folder = target
    if not folder.is_dir():
        parent = folder.parent
        there = sorted(path.name for path in parent.iterdir()) if parent.is_dir() else []
        near = difflib.get_close_matches(folder.name, there, 1)
        if options.folder is None and not near:
            return None
        hint = f"did you mean {parent / near[0]}?" if near else "say where the images are with FOLDER="
        raise UserError(f"{folder}: no such folder or archive; {hint}")
    return layouts.unwrapped(folder)


def look(folder: Path, options: argparse.Namespace, notes: list[str]) -> dict[str, Any]:
    """Return the values of the data set's section but for the counts; append to `notes` what was assumed."""
    name = options.table or layouts.plain_table(folder)
    file = folder / name
    if not file.is_file():
        there = sorted(path.name for path in folder.iterdir() if path.suffix in layouts.TABLES)
        raise UserError(f"{file}: no such table; of tables, {folder} has: {', '.join(there) or 'none'}")
    raw = read_table(file).apply(as_text)
    if raw.empty:
        raise UserError(f"{file}: it has no rows")
    split_asked = None if options.split == "none" else options.split
    chosen = {
        role: columns.choose_column(raw, role, split_asked if role == "split" else getattr(options, role), file)
        for role in columns.OPTIONS
    }
    if options.split == "none":
        chosen["split"] = None
    if chosen["split"] and options.split is None and chosen["split"].lower() not in columns.USUAL["split"]:
        notes.append(
            f"the values of {chosen['split']} are words for splits: it is taken for the split; else SPLIT=none"
        )
    path, label, attribute = (str(chosen[role]) for role in ("path", "label", "attribute"))
    if label == attribute:
        raise UserError(f"{file}: {label} is both label and attribute; choose another column with LABEL= or ATTRIBUTE=")
    images = columns.image_folder(folder, raw[path], file)
    by_folder = columns.splits_of_paths(raw[path]) if chosen["split"] is None and options.split is None else None
    if by_folder is not None:
        rewritten = raw.assign(split=by_folder)
        rewritten[path] = f"{images}/" * bool(images) + rewritten[path]
        name, images, raw = layouts.write_table(folder, rewritten), "", rewritten
        file, chosen["split"] = folder / name, "split"
        notes.append(f"the folders of the images name their splits: {file} was written with a column for them")
    values: dict[str, Any] = {
        "folder": folder.as_posix(),
        "origin": f"data of your own, in {folder.as_posix()}",
        "images": images,
        "tables": [{"file": name, **chosen}],
        "label_values": columns.named_values(raw[label], label, "LABEL", file),
        "attribute_values": columns.named_values(raw[attribute], attribute, "ATTRIBUTE", file),
        "split_values": columns.split_values(raw[chosen["split"]], chosen["split"], file) if chosen["split"] else None,
        "missing_attribute": "error",
    }
    _missing(raw[attribute] == "", attribute, file, options.missing, values, notes)
    values["held_out"] = _held_out(raw, chosen["split"], values["split_values"], options, notes)
    for role in ("label", "attribute"):
        values[f"{role}s"] = {key: render.words(key) for key in values[f"{role}_values"]}
        if any(re.fullmatch(r"-?\d+(\.\d+)?", value) for value in values[f"{role}_values"].values()):
            column = chosen[role]
            notes.append(f"{column} has numbers: write under `{role}s` what they stand for, in words for the prompts")
    return values


def _missing(
    missing: pd.Series, column: str, file: Path, choice: str | None, values: dict[str, Any], notes: list[str]
) -> None:
    """Do with images without an attribute what was chosen; stop when nothing was."""
    if not missing.any():
        return
    told = f"{missing.sum()} of {len(missing)} images have no {column}"
    if choice is None:
        raise UserError(
            f"{file}: {told}. Choose: MISSING=drop leaves them out; MISSING=group makes them groups of their own, "
            "`unknown`; or fill the column in"
        )
    if choice == "drop":
        values["missing_attribute"] = "drop"
        notes.append(f"{told} and are left out")
        return
    values["attribute_values"]["unknown"] = ""
    notes.append(f"{told} and are groups of their own, `unknown`")


def _held_out(
    raw: pd.DataFrame,
    column: str | None,
    known: dict[str, str] | None,
    options: argparse.Namespace,
    notes: list[str],
) -> dict[str, float] | None:
    """Return the shares of the splits that the table does not have."""
    known = known or {}
    if column is not None and "train" not in known:
        raise UserError(f"the column {column} names no training images, only {', '.join(known)}")
    lacking = [split for split in SHARES if split not in known]
    asked = {split: getattr(options, f"share_{split}") for split in SHARES}
    for split, share in asked.items():
        if share is not None and split not in lacking:
            raise UserError(f"{split.upper()}={share}: the table has images for it; leave this out, or add SPLIT=none")
    shares = {split: SHARES[split] if asked[split] is None else asked[split] for split in lacking}
    if not shares:
        return None
    if min(shares.values()) < 0 or sum(shares.values()) >= 1 or shares.get("test") == 0:
        told = " and ".join(f"{split.upper()}={share:g}" for split, share in shares.items())
        raise UserError(f"{told}: shares of the training images, which have to leave some; TEST more than 0")
    what = "the table has no split" if column is None else f"no image's {column} is for the {' or the '.join(lacking)}"
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
        f"table there and write it anew: make new-dataset NAME={name} FORCE=1"
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


def report(name: str, counts: dict[str, dict[str, int]], swapped: list[str], notes: list[str]) -> str:
    """Return the groups as a table, if there are any, the notes and what to run next."""
    lines = [*_groups(counts, swapped), ""] if counts else [""]
    untested = [group for group, count in counts.items() if not count["test"]]
    if untested:
        notes = [*notes, f"no test image of {', '.join(untested)}: no accuracy will tell of it"]
    lines += [*(f"Note: {note}." for note in notes), ""] if notes else []
    own = f"--configfile=config/{name}.yaml"
    lines += [
        "Next, after a look at the words under `labels`, `attributes` and `prompts`:",
        f"  .venv/bin/snakemake -n {own}    # a dry run: every job, nothing computed",
        f"  .venv/bin/snakemake --cores 2 check_data {own}    # opens every image once",
        f"  make audit CONFIG=config/{name}.yaml    # how biased they are, which method fits",
        f"  make trial NAME={name}    # a small run first, on tiny models: minutes on a CPU",
        f"  make plan CONFIG=config/{name}.yaml    # the hours, before they are spent",
        f"  .venv/bin/snakemake --profile profiles/local {own}    # the run, on this machine",
        f"  .venv/bin/snakemake --profile profiles/slurm {own}    # the run, on a SLURM cluster",
        f"  make report CONFIG=config/{name}.yaml    # all of it in one HTML file",
    ]
    return "\n".join(lines)


def _groups(counts: dict[str, dict[str, int]], swapped: list[str]) -> list[str]:
    aligned = aligned_groups({group: count["train"] for group, count in counts.items()}).values()
    width = max(len("group"), *map(len, counts))
    lines = ["", f"{'group':{width}}  " + "  ".join(f"{split:>10}" for split in SPLITS)]
    for group, count in counts.items():
        role = "goes with its class" if group in aligned else "drawn by the swap" * (group in swapped)
        lines.append(f"{group:{width}}  " + "  ".join(f"{count[split]:>10}" for split in SPLITS) + f"  {role}".rstrip())
    return lines


def main(arguments: list[str] | None = None) -> None:
    """Write the configuration, check it and print the report.

    Raises
    ------
    UserError
        When the data or the options do not fit; says which and what would.
    """
    options = parse(arguments)
    name, target = options.name, Path("config", f"{options.name}.yaml")
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9_.]*[A-Za-z0-9])?", name):
        raise UserError(f"NAME={name}: letters, digits, _ and . only, as it stands in paths")
    if name == "waterdigits":
        raise UserError("NAME=waterdigits: this is the demo's data set, which the workflow makes; choose another name")
    if options.trial and target.exists() and not options.force:
        print(f"{write_trial(target)} was written, of the data sets in {target}.")
        return
    if target.exists() and not options.force:
        raise UserError(f"{target} is there already: edit it; or FORCE=1 writes it anew and keeps this one beside it")
    base = load_config(options.base)
    notes: list[str] = []
    folder, counts = find_folder(options), {}
    if folder:
        values = look(folder, options, notes)
        counts = count_groups(values, base.seed)
        values["train_counts"] = {group: count["train"] for group, count in counts.items()}
    else:
        values = example(name, notes)
    text = render.configuration(options.base.read_text(encoding="utf-8"), name, options.base.name, values)
    if target.exists():
        old = target.replace(target.with_suffix(".yaml.old"))
        notes.append(f"the file that was there is now {old}")
    write_text(target, text)
    try:
        config = load_config(target)
        preflight.check(config)
    except UserError as error:
        raise UserError(f"{target} was written, but is not ready to run:\n{error}") from None
    source = f" from {values['folder']}/{values['tables'][0]['file']}" if folder else ""
    print(f"{target} was written{source}, and is valid.")
    print(report(name, counts, plan.swapped_groups(config, name, plan.biases(config)[0]), notes))
    if options.trial:
        print(f"{write_trial(target)} was written, of the data sets in {target}.")


if __name__ == "__main__":
    try:
        main()
    except (UserError, zipfile.BadZipFile) as error:
        sys.exit(str(error))
