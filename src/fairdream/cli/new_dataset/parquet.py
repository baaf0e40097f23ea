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
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairdream.cli.new_dataset.columns import FILE_SPLIT, USUAL
from fairdream.cli.new_dataset.nested import may_say_split, unnested
from fairdream.cli.new_dataset.split_places import file_splits
from fairdream.cli.new_dataset.split_words import says_split
from fairdream.data.images import open_image
from fairdream.data.listing import IMAGE_SUFFIXES
from fairdream.errors import UserError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

UNPACKED = "unpacked"
USUAL_IMAGES = ("image", "img", "picture", "photo", "jpg", "png", *USUAL["path"])


def _schema(file: Path) -> pa.Schema:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_schema(file)
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{file}: cannot be read as Parquet: {error}") from None


def _is_binary(kind: pa.DataType) -> bool:
    """Tell whether a type holds bytes: Arrow has several, and each writer its own."""
    import pyarrow as pa

    of = pa.types
    return of.is_binary(kind) or of.is_large_binary(kind) or of.is_binary_view(kind) or of.is_fixed_size_binary(kind)


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def _holds_images(kind: pa.DataType) -> bool:
    """Tell whether a type is the struct in which Hugging Face keeps an image."""
    import pyarrow as pa

    return pa.types.is_struct(kind) and {"bytes", "path"} <= {field.name for field in kind}


def holds_images(file: Path) -> bool:
    """Tell whether images lie in a Parquet file, one or several a row."""
    return bool(image_columns(file) or _list_columns(file))


def _list_columns(file: Path) -> list[str]:
    import pyarrow as pa

    return [
        field.name for field in _schema(file) if pa.types.is_list(field.type) and _holds_images(field.type.value_type)
    ]


def image_columns(file: Path) -> list[str]:
    """Return the columns of a Parquet file that hold an image each row, by their type or by their first bytes."""
    return [
        field.name
        for field in _schema(file)
        if _holds_images(field.type) or (_is_binary(field.type) and _begins_with_an_image(file, field.name))
    ]


def _begins_with_an_image(file: Path, column: str) -> bool:
    import pyarrow.parquet as pq

    with pq.ParquetFile(file) as stored:
        for batch in stored.iter_batches(batch_size=1, columns=[column]):
            content = batch.column(0)[0].as_py()
            if content is not None:
                try:
                    open_image(io.BytesIO(content)).close()
                except Exception:  # a decoder raises whatever strange bytes lead it to
                    return False
                return True
    return False


def choose_image_column(files: Sequence[Path], asked: str | None, notes: list[str]) -> str | None:
    """Return the column with the images of Parquet files; ``None``: their images are files that a column names.

    Raises
    ------
    UserError
        When several columns hold images and none, or more than one, has a usual name; when each row has a list of them.
    """
    file, schema = files[0], _schema(files[0])
    columns = image_columns(file)
    lists = _list_columns(file)
    paths = [field.name for field in schema if _is_text(field.type)]
    if asked is not None:
        if asked in lists:
            raise UserError(f"{file}: each row of {asked} is a list of images; write a table with an image a row")
        if asked not in columns and asked not in paths:
            raise UserError(f"{file}: no column {asked} of images (--image {asked}); {_listed(columns, paths)}")
        return asked if asked in columns else None
    usual = [name for name in columns if name.lower() in USUAL_IMAGES]
    named = [name for name in paths if name.lower() in USUAL["path"]]
    if not columns:
        if lists and not named:
            raise UserError(f"{file}: each row of {lists[0]} is a list of images; write a table with an image a row")
        return None
    chosen = usual or ([] if named else columns)
    if len(chosen) != 1:
        raise UserError(
            f"{file}: which column is the image is not certain; say it with --image. {_listed(columns, named)}"
        )
    others = [name for name in (*columns, *lists) if name != chosen[0]]
    if others:
        notes.append(f"the images are those of the column {chosen[0]}; {', '.join(others)} is not read, else --image")
    elif not usual:
        notes.append(f"the images are those of the column {chosen[0]}, the only one with any")
    return chosen[0]


def _listed(columns: list[str], paths: list[str]) -> str:
    named = f"; text, which may name files: {', '.join(paths)}" if paths else ""
    return f"Columns with images: {', '.join(columns) or 'none'}{named}"


def class_names(file: Path) -> dict[str, list[str]]:
    """Return the names of the values of `ClassLabel` columns, which are stored as numbers."""
    metadata = (_schema(file).metadata or {}).get(b"huggingface", b"{}")
    features = json.loads(metadata).get("info", {}).get("features", {})
    return {name: of["names"] for name, of in features.items() if isinstance(of, dict) and of.get("names")}


def class_name(number: float | None, names: list[str], column: str, file: Path) -> str | None:
    """Return the name of a `ClassLabel`; ``None`` where there is none, which is stored as -1."""
    if number is None or number != number or number < 0:
        return None
    if number >= len(names):
        raise UserError(f"{file}: {column} is {int(number)}, and its schema names {len(names)} classes alone")
    return names[int(number)]


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
    import pyarrow.parquet as pq

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
        names, schema = class_names(file), _schema(file)
        if column not in schema.names:
            raise UserError(f"{file}: no column {column}, which {files[0].name} has; it has {', '.join(schema.names)}")
        plain, dropped = _beside(file, column)
        left_out |= dict.fromkeys(dropped)
        target = folder / UNPACKED / file.relative_to(folder).with_suffix("")
        number = 0
        with pq.ParquetFile(file) as stored:
            for batch in stored.iter_batches(batch_size=100, columns=[column, *plain]):
                for row in batch.to_pylist():
                    path = _image_file(folder, target, number, row.pop(column), file)
                    for name in names.keys() & row.keys():
                        row[name] = class_name(row[name], names[name], name, file)
                    own = {FILE_SPLIT: splits[file]} if splits[file] else {}
                    rows.append({**row, **own, "path": path.relative_to(folder).as_posix()})
                    number += 1
    table, nested = unnested(pd.DataFrame(rows))
    return table, [*left_out, *nested]


def _beside(file: Path, column: str) -> tuple[list[str], list[str]]:
    """Return the columns that are read beside that of the images, and those that are not; other images are neither."""
    import pyarrow as pa

    read: list[str] = []
    dropped: list[str] = []
    images = {column, *image_columns(file), *_list_columns(file)}
    for field in _schema(file):
        # as which pandas stores an index without a name
        if field.name in images or re.fullmatch(r"__index_level_\d+__", field.name):
            continue
        fields = [own.name for own in field.type] if pa.types.is_struct(field.type) else []
        nested = pa.types.is_nested(field.type) or _is_binary(field.type)
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
