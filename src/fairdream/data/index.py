"""The index: the authors' tables as one table of id, path, split, label, attribute and content hash."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fairdream.config.datasets import Source, Table
from fairdream.data import bit_depth
from fairdream.data.groups import group_name
from fairdream.data.holdout import hold_out
from fairdream.data.images import open_rgb
from fairdream.data.listing import BROKEN_LINK, as_on_disk, why_no_path, why_passed_over
from fairdream.data.table_files import as_text, read_table
from fairdream.errors import UserError
from fairdream.identity import file_digest
from fairdream.runtime.files import atomic
from fairdream.runtime.job import LOGGER
from fairdream.runtime.prefetch import prefetch

if TYPE_CHECKING:
    import pandas as pd


def index(manifest: str, index: str, config: Source, seed: int | None = None) -> None:
    """Write the index of a data set after opening every image once.

    Parameters
    ----------
    seed
        Of the splits that are held out, where the configuration asks for them.

    Raises
    ------
    UserError
        For a missing column, an unknown value, a missing or broken image, or group counts that differ from
        `train_counts`; the message names the table, the row and the file.
    """
    import pandas as pd

    before = file_digest(manifest)
    files = pd.read_parquet(manifest).set_index("path")
    table = read_tables(config, seed)
    prefix = f"{config.images}/" if config.images else ""
    # the path that the table gives is the id: unique, stable when rows are added, and readable in every later table
    table.insert(0, "id", prefix + table["path"])
    table["path"] = _listed(table["id"], files.index, config)
    absent = table[table["path"].isna()]
    if len(absent):
        first = f"{absent['id'].iloc[0]} (row {absent['row'].iloc[0]} of {config.tables[0].file})"
        first += _why_missing(config.folder, absent["id"].iloc[0])
        raise UserError(f"{config.folder}: {len(absent)} image(s) of the table are missing, first {first}")
    table["sha256"] = files.loc[table["path"], "sha256"].to_numpy()
    _open_all([Path(config.folder, path) for path in table["path"]])
    _check_counts(table, config)
    _tell_of_test_groups(table, config)
    table = table.drop(columns="row").sort_values("path", ignore_index=True)
    table["folder"] = config.folder
    # a manifest that is newer than the index would pass for the one it was made of
    if file_digest(manifest) != before:
        raise UserError(f"{config.folder}: the data changed while they were read; start again to take up the change")
    with atomic(index) as path:
        table.to_parquet(path, index=False)


def read_tables(config: Source, seed: int | None = None) -> pd.DataFrame:
    """Read and join the tables; return path, label, attribute and split with the configuration's own names.

    Images that no table gives a split are training images, and `held_out` takes its shares from those. A column `row`
    says where in the first table an image stands.

    Raises
    ------
    UserError
        For a table that cannot be read, a missing column, or a value that is unknown or empty; with file and row.
    """
    files = [Path(config.folder, table.file) for table in config.tables]
    joined = _read_part(files[0], config.tables[0], config)
    for file, table in zip(files[1:], config.tables[1:], strict=True):
        part = _read_part(file, table, config).drop(columns="row")
        for one, here, other, there in ((joined, files[0], part, file), (part, file, joined, files[0])):
            lone = one["path"][~one["path"].isin(other["path"])]
            if len(lone):
                raise UserError(f"{here}: {len(lone)} image(s) are not in {there}, first {lone.iloc[0]}")
        joined = joined.merge(part, on="path", how="inner", validate="1:1")
    known = joined["attribute"].notna()
    if not known.all():
        LOGGER.info("%d of %d images have no attribute and are left out", (~known).sum(), len(joined))
        joined = joined[known].reset_index(drop=True)
    if "split" not in joined:
        joined["split"] = "train"
    if config.held_out:
        assert seed is not None
        joined["split"] = hold_out(joined, config.held_out, seed)
    return joined[["path", "split", "label", "attribute", "row"]]


def _read_part(file: Path, table: Table, config: Source) -> pd.DataFrame:
    """Return what one table says, with the configuration's own names, and the row in the file."""
    import pandas as pd

    named = {"path": table.path, "label": table.label, "attribute": table.attribute, "split": table.split}
    wanted = {role: column for role, column in named.items() if column is not None}
    raw = read_table(file)
    lost = sorted(set(wanted.values()) - set(raw.columns))
    if lost:
        raise UserError(f"{file}: no column {', '.join(lost)}; it has {', '.join(map(str, raw.columns))}")
    part = pd.DataFrame({role: as_text(raw[column]) for role, column in wanted.items()})
    part["path"] = part["path"].str.removeprefix("./")
    rows = pd.Series(range(len(raw))) + raw.attrs.get("first_row", 2)  # a header, and rows count from one
    for row, cell in zip(rows, part["path"], strict=True):
        if reason := why_no_path(cell):
            raise UserError(f"{file}: row {row}: {table.path}: {reason}")
    if part["path"].duplicated().any():
        again = int(part["path"].duplicated().to_numpy().argmax())
        name = part["path"].iloc[again]
        at = f"rows {rows[part['path'] == name].iloc[0]} and {rows.iloc[again]}"
        raise UserError(f"{file}: {name} stands twice ({at}); leave one")
    values = {"label": config.label_values, "attribute": config.attribute_values, "split": config.split_values}
    for role in wanted.keys() & values.keys():
        names = {str(value): name for name, value in (values[role] or {}).items()}
        # as text on both sides: a value may be 1 in the table and "1" in the configuration
        read = part[role]
        unknown = ~read.isin(names.keys())
        if role == "attribute" and "" not in names:
            _check_missing(read == "", rows, file, table.attribute, config)
            unknown &= read != ""
        if unknown.any():
            first_wrong = int(unknown.to_numpy().argmax())
            raise UserError(
                f"{file}: row {rows.iloc[first_wrong]}: {wanted[role]} is {read.iloc[first_wrong]!r}; "
                f"allowed: {', '.join(sorted(names))}"
            )
        part[role] = read.map(names)
    return part.assign(row=rows)


def _check_missing(missing: pd.Series, rows: pd.Series, file: Path, column: str | None, config: Source) -> None:
    """Stop when attributes are missing and the configuration does not say that their images may be left out."""
    if config.missing_attribute == "drop" or not missing.any():
        return
    raise UserError(
        f"{file}: row {rows[missing].iloc[0]}: {column} is '', as in {missing.sum()} of its {len(missing)} rows. Fill "
        "them in, or choose in the data set's section: `missing_attribute: drop` leaves these images out; a name for "
        "them in `attributes`, with '' as its value in `attribute_values`, makes them groups of their own"
    )


def _listed(names: pd.Series, listed: pd.Index, config: Source) -> pd.Series:
    """Return the images' paths as the manifest lists them, in whatever Unicode form; nothing for one that it does not.

    Raises
    ------
    UserError
        When two rows name one file in two forms.
    """
    paths = names.where(names.isin(listed))
    absent = paths.isna()
    if not absent.any():
        return paths
    paths[absent] = [own if own in listed else None for own in as_on_disk(Path(config.folder), names[absent])]
    twice = paths.duplicated(keep=False) & paths.notna()
    if twice.any():
        forms = " and ".join(ascii(name) for name in names[paths == paths[twice].iloc[0]])
        raise UserError(f"{config.folder}: the table names one file twice, in two Unicode forms: {forms}; leave one")
    return paths


def _why_missing(folder: str, name: str) -> str:
    """Return what is known of an image that the manifest does not list, as the end of a message."""
    file = Path(folder, name)
    if file.is_file():
        reason = why_passed_over(name) or (
            "it lies outside of the image folder, or is not written as it stands below the folder (`./`, `..`)"
        )
        return f": it is there, but not taken for an image of the data set: {reason}"
    return f": {BROKEN_LINK}" if file.is_symlink() else ""


def _open_all(paths: list[Path]) -> None:
    def look(path: Path) -> tuple[str | None, int | None]:
        try:
            open_rgb(path)  # as every later stage does
        except UserError as error:
            return str(error), None
        return None, bit_depth.brightest_of_dark(path)

    # decoding releases the interpreter's lock
    looked = list(prefetch(look, paths, workers=8, depth=256))
    dark = [(path, value) for path, (_, value) in zip(paths, looked, strict=True) if value]
    if told := bit_depth.told(dark):
        LOGGER.warning("%s", told)
    problems = [text for text, _ in looked if text]
    if problems:
        raise UserError(f"{len(problems)} image(s) cannot be opened:\n" + "\n".join(problems[:20]))


def _check_counts(table: pd.DataFrame, config: Source) -> None:
    if not (table["split"] == "test").any():
        raise UserError(f"{config.folder}: no image is for the test; fix the split column or give held_out.test")
    train = table[table["split"] == "train"]
    found = {group: 0 for group in config.train_counts}
    for (label, attribute), rows in train.groupby(["label", "attribute"]):
        found[group_name(label, attribute)] = len(rows)
    for group in sorted(found):
        LOGGER.info("%s: %d training images", group, found[group])
    wrong = [
        f"{g}: {n} found, {config.train_counts[g]} stated" for g, n in found.items() if n != config.train_counts[g]
    ]
    if wrong:
        raise UserError(
            f"{config.folder}: the training groups differ from train_counts ({'; '.join(wrong)}). "
            "Is this the data set's official split? For your own data, write the counts found."
        )


def _tell_of_test_groups(table: pd.DataFrame, config: Source) -> None:
    """Warn of a test set without some group: the worst group's accuracy would leave it out without a word."""
    test = table[table["split"] == "test"]
    found = {group_name(*names) for names in zip(test["label"], test["attribute"], strict=True)}
    lost = config.train_counts.keys() - found
    if lost:
        LOGGER.warning(
            "%s: no test image of %s, so the worst group's accuracy is that of the others; move images of each such "
            "group to the test set (then lower its train_counts)",
            config.folder,
            ", ".join(sorted(lost)),
        )
