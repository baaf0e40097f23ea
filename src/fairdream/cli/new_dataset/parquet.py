"""Parquet files with images in them: as Hugging Face `datasets` stores them, ``{bytes, path}``, or as bytes alone.

Images are unpacked into ``unpacked/``, byte by byte as they are: every later stage reads files, and one changed image
stays one changed image. An unpacking that was killed is completed by the next one.
"""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Sequence
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairdream.cli.new_dataset.columns import FILE_SPLIT
from fairdream.cli.new_dataset.image_columns import image_columns, list_columns
from fairdream.cli.new_dataset.nested import may_say_split, unnested
from fairdream.cli.new_dataset.parquet_files import is_binary, reading, rows_of, schema_of
from fairdream.cli.new_dataset.split_places import file_splits
from fairdream.cli.new_dataset.split_words import says_split
from fairdream.data.images import open_image
from fairdream.data.listing import IMAGE_SUFFIXES
from fairdream.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

UNPACKED = "unpacked"


def class_names(file: Path) -> dict[str, list[str]]:
    """Return the names of the values of `ClassLabel` columns, which are stored as numbers."""
    stored = (schema_of(file).metadata or {}).get(b"huggingface", b"{}")
    with reading(file):
        features: Any = json.loads(stored)
    for key in ("info", "features"):
        features = features.get(key) if isinstance(features, dict) else None
    if not isinstance(features, dict):
        return {}
    names = {name: of.get("names") for name, of in features.items() if isinstance(of, dict)}
    return {name: own for name, own in names.items() if isinstance(own, list) and all(isinstance(x, str) for x in own)}


def class_name(number: object, names: list[str], column: str, file: Path) -> str | None:
    """Return the name of a `ClassLabel`; ``None`` where there is none, which is stored as -1."""
    if isinstance(number, str):
        return number  # stored by its name
    value = float(number) if isinstance(number, Real) else -1.0
    if value != value or value < 0:
        return None
    if value not in range(len(names)):
        raise UserError(f"{file}: {column} is {value:g}, and its schema names {len(names)} classes alone")
    return names[int(value)]


def check_one_configuration(folder: Path, files: Sequence[Path]) -> None:
    """Stop where folders hold data sets of their own, each with its splits, or where a shard of a file is lacking.

    Raises
    ------
    UserError
        With the folders to choose from, or the shards that are there.
    """
    homes: dict[tuple[str, ...], Path] = {}
    shards: dict[tuple[str, int], list[str]] = {}
    for file in files:
        home = file.parent
        # label=cat, as Spark and Arrow name folders, is no configuration either
        while home != folder and ("=" in home.name or says_split(home.name)):
            home = home.parent
        homes[tuple(part for part in home.relative_to(folder).parts if part != "data")] = home
        if match := re.search(r"-of-(\d+)", file.stem):
            start = re.sub(r"\d+-of-.*", "", file.relative_to(folder).as_posix())
            shards.setdefault((start, int(match[1])), []).append(file.name)
    if len(homes) > 1:
        shown = ", ".join(f"--folder {home}" for key, home in sorted(homes.items()) if key)
        raise UserError(f"{folder} has several data sets (configurations), each with Parquet files; choose: {shown}")
    for (_, count), names in shards.items():
        if len(names) != count:
            raise UserError(f"{folder}: of {count} shards {len(names)} are there ({', '.join(names)}); copy the others")


def unpack(folder: Path, files: Sequence[Path], column: str) -> tuple[pd.DataFrame, list[str]]:
    """Write the images of Parquet files below ``unpacked/``; return the table of other columns, and those left out.

    Its column ``path`` names the images, and `FILE_SPLIT` the split that a file's or its folder's name says.

    Raises
    ------
    UserError
        When a file lacks the column or a row its image, or when the names of some files alone say a split.
    """
    import pandas as pd

    rows: list[dict[str, Any]] = []
    left_out: dict[str, None] = {}
    splits = file_splits(folder, files)
    silent = [file for file, split in splits.items() if not split]
    if silent and len(silent) < len(files):
        raise UserError(
            f"{folder}: the names of some Parquet files say a split, those of others do not, first {silent[0]}; name "
            "it train, validation or test, or take it out of the folder"
        )
    for file in files:
        names, schema = class_names(file), schema_of(file)
        if column not in schema.names:
            raise UserError(f"{file}: no column {column}, which {files[0].name} has; it has {', '.join(schema.names)}")
        plain, dropped = _beside(file, column)
        left_out |= dict.fromkeys(dropped)
        target = folder / UNPACKED / file.relative_to(folder).with_suffix("")
        for number, row in enumerate(rows_of(file, [column, *plain])):
            path = _image_file(folder, target, number, row.pop(column), file)
            for name in names.keys() & row.keys():
                row[name] = class_name(row[name], names[name], name, file)
            own = {FILE_SPLIT: splits[file]} if splits[file] else {}
            rows.append({**row, **own, "path": path.relative_to(folder).as_posix()})
    table, nested = unnested(pd.DataFrame(rows))
    return table, [*left_out, *nested]


def _beside(file: Path, column: str) -> tuple[list[str], list[str]]:
    """Return the columns that are read beside that of the images, and those that are not; other images are neither."""
    import pyarrow as pa

    read: list[str] = []
    dropped: list[str] = []
    images = {column, *image_columns(file), *list_columns(file)}
    for field in schema_of(file):
        # as which pandas stores an index without a name
        if field.name in images or re.fullmatch(r"__index_level_\d+__", field.name):
            continue
        fields = [own.name for own in field.type] if pa.types.is_struct(field.type) else []
        nested = pa.types.is_nested(field.type) or is_binary(field.type)
        (dropped if nested and not may_say_split(field.name, fields) else read).append(field.name)
    return read, dropped


def _image_file(folder: Path, target: Path, number: int, image: Any, file: Path) -> Path:
    """Write an image's bytes unless they are there, or find the file that a row only names; return its path."""
    if isinstance(image, bytes):
        image = {"bytes": image}
    content, name = (image or {}).get("bytes"), (image or {}).get("path") or ""
    if content is None:
        for base in (file.parent, folder):
            if name and os.path.isfile(base / name) and (base / name).is_relative_to(folder):
                return base / name
        raise UserError(f"{file}: row {number + 1}: no image in it, and no file {name or 'named'}")
    suffix = Path(name).suffix.lower()
    if suffix not in IMAGE_SUFFIXES:
        try:
            with open_image(io.BytesIO(content)) as opened:
                suffix = f".{(opened.format or '').lower()}"
        except Exception as error:  # a decoder raises whatever a broken file leads it to
            raise UserError(f"{file}: row {number + 1}: {error}") from None
    path = target / f"{number:06d}{suffix}"
    if not path.is_file() or path.read_bytes() != content:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        except OSError as error:
            raise UserError(f"{path}: cannot be written: {error.strerror}; copy the data set where it can") from None
    return path
