"""Folders without a plain table of images: the forms of Hugging Face `datasets`; class folders by `class_folders`.

What a run reads is always one table beside the images. Where there is none, `plain_table` writes ``fairdream.csv`` into
the data set's folder, once; from then on the manifest tracks it and the images like any other. Notable choices:

- Images that lie inside Parquet files are unpacked into ``unpacked/``, byte by byte as they are: every later stage
  reads files, and one changed image stays one changed image.
- The table is written last, so an unpacking that was killed leaves none, and starting again completes it.
- Nothing that was there is changed or removed.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairdream.errors import UserError
from fairdream.files import atomic
from fairdream.index import as_text, read_table
from fairdream.listing import IMAGE_SUFFIXES, list_files, subfolders, suffix_of, tables, visible

if TYPE_CHECKING:
    import pandas as pd

OWN_TABLE, UNPACKED = "fairdream.csv", "unpacked"
STORED = {".parquet", ".arrow"}  # may hold images
METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
# Words for splits in names of files and folders, those of Hugging Face `datasets`.
SPLIT_WORDS = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
    "eval": "test",
    "evaluation": "test",
}


def plain_table(folder: Path, notes: list[str]) -> str:
    """Return the name of the table of a data set's folder; write ``fairdream.csv`` where the images have no plain one.

    `notes` gets what was assumed.

    Raises
    ------
    UserError
        When the folder has no form that is known, or several tables.
    """
    from fairdream.newdata.class_folders import read_class_folders

    found = list_files(folder, IMAGE_SUFFIXES | STORED, without_folders={UNPACKED})
    stored = [folder / name for name in found.files if suffix_of(name) in STORED]
    if parquet := [path for path in stored if suffix_of(path.name) == ".parquet" and _image_column(path)]:
        return write_table(folder, _unpack(folder, parquet))
    there = [path for path in tables(folder) if path.name != OWN_TABLE]
    metadata = [path for path in there if path.name in METADATA]
    if len(metadata) == 1 or len(there) == 1:
        return (metadata or there)[0].name
    if there:
        raise UserError(f"{folder} has several tables: {', '.join(p.name for p in there)}; choose one with TABLE=")
    inner = sorted(path for own in subfolders(folder) for path in tables(own) if path.name in METADATA)
    if inner:
        return write_table(folder, _joined(folder, inner))
    if any(suffix_of(path.name) == ".arrow" for path in stored):
        raise UserError(
            f"{folder}: this was saved with `save_to_disk`; save it as Parquet, a file a split: "
            f"`for split, part in datasets.load_from_disk('{folder}').items(): part.to_parquet(f'{{split}}.parquet')`"
        )
    found.files = [name for name in found.files if suffix_of(name) in IMAGE_SUFFIXES]
    if not found.files:
        told = "".join(f"\n{note}" for note in found.told())
        raise UserError(f"{folder}: neither a table (CSV, TSV, JSON Lines, Parquet) nor an image below it{told}")
    return write_table(folder, read_class_folders(found, notes))


def unwrapped(folder: Path) -> Path:
    """Return the one folder in a folder, as an unpacked archive has it; the folder itself where it has more.

    Not one of a split; and not one with Parquet, which may hold images of Hugging Face, whose paths start further up.
    """
    inner = visible(folder)
    if len(inner) != 1 or not inner[0].is_dir() or split_of(inner[0].name):
        return folder
    return folder if any(suffix_of(path.name) == ".parquet" for path in visible(inner[0])) else inner[0]


def split_of(name: str) -> str | None:
    """Return the split that a file's or folder's name says, such as ``train-00000-of-00002``."""
    word = name.lower()
    for mark in "-_. ":
        word = word.split(mark)[0]
    return SPLIT_WORDS.get(word)


def write_table(folder: Path, table: pd.DataFrame) -> str:
    """Write ``fairdream.csv`` into the folder and return its name."""
    try:
        with atomic(folder / OWN_TABLE) as path:
            table.apply(as_text).to_csv(path, index=False, lineterminator="\n")
    except OSError as error:
        raise UserError(f"{folder}: cannot be written ({error.strerror}); copy the data set where it can") from None
    return OWN_TABLE


def _joined(folder: Path, files: list[Path]) -> pd.DataFrame:
    """Join an imagefolder's metadata files, one in the folder of each split."""
    import pandas as pd

    parts = []
    for file in files:
        part = read_table(file)
        if "file_name" not in part:
            raise UserError(f"{file}: no column file_name; it has {', '.join(map(str, part.columns))}")
        path = f"{file.parent.name}/" + part.pop("file_name")
        split = split_of(file.parent.name)
        if split is None:
            raise UserError(f"{file.parent}: its name says no split; expected train, validation or test")
        parts.append(part.drop(columns="split", errors="ignore").assign(path=path, split=split))
    return pd.concat(parts, ignore_index=True)


def _image_column(file: Path) -> str | None:
    """Return the column of a Parquet file that holds images as Hugging Face stores them: ``{bytes, path}``."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(file)
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{file}: cannot be read as Parquet: {error}") from None
    for field in schema:
        if pa.types.is_struct(field.type) and {"bytes", "path"} <= {inner.name for inner in field.type}:
            return field.name
    return None


def _class_names(file: Path) -> dict[str, list[str]]:
    """Return the names of the values of `ClassLabel` columns, which are stored as numbers."""
    import pyarrow.parquet as pq

    metadata = (pq.read_schema(file).metadata or {}).get(b"huggingface", b"{}")
    features = json.loads(metadata).get("info", {}).get("features", {})
    return {name: of["names"] for name, of in features.items() if isinstance(of, dict) and of.get("names")}


def _unpack(folder: Path, files: list[Path]) -> pd.DataFrame:
    """Write the images of Parquet files below ``unpacked/``; return the table of their other columns."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows: list[dict[str, Any]] = []
    for file in files:
        column, names = _image_column(file), _class_names(file)
        plain = [field.name for field in pq.read_schema(file) if not pa.types.is_nested(field.type)]
        split = split_of(file.stem) or split_of(file.parent.name)
        target = folder / UNPACKED / file.relative_to(folder).with_suffix("")
        number = 0
        with pq.ParquetFile(file) as stored:
            for batch in stored.iter_batches(batch_size=100, columns=[column, *plain]):
                for row in batch.to_pylist():
                    path = _image_file(folder, target, number, row.pop(column), file)
                    for name in names.keys() & row.keys():
                        row[name] = names[name][row[name]] if row[name] is not None and row[name] >= 0 else None
                    own = {"split": split} if split else {}
                    rows.append({**own, **row, "path": path.relative_to(folder).as_posix()})
                    number += 1
    if len({"split" in row for row in rows}) > 1:
        raise UserError(f"{folder}: the names of some Parquet files say a split, those of others do not")
    return pd.DataFrame(rows)


def _image_file(folder: Path, target: Path, number: int, image: dict[str, Any] | None, file: Path) -> Path:
    """Write an image's bytes unless they are there, or find the file that a row only names; return its path."""
    from PIL import Image

    content, name = (image or {}).get("bytes"), (image or {}).get("path") or ""
    if content is None:
        for base in (file.parent, folder):
            if name and (base / name).is_file() and (base / name).is_relative_to(folder):
                return base / name
        raise UserError(f"{file}: row {number + 1}: no image in it, and no file {name or 'named'}")
    suffix = Path(name).suffix.lower()
    if suffix not in IMAGE_SUFFIXES:
        try:
            with Image.open(io.BytesIO(content)) as opened:
                suffix = f".{(opened.format or '').lower()}"
        except OSError as error:
            raise UserError(f"{file}: row {number + 1}: {error}") from None
    path = target / f"{number:06d}{suffix}"
    if not path.is_file() or path.read_bytes() != content:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        except OSError as error:
            raise UserError(f"{path}: cannot be written: {error.strerror}; copy the data set where it can") from None
    return path
