"""Which column of a Parquet file holds the images: by its type, its first bytes and its name."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fairdream.cli.new_dataset.columns import USUAL
from fairdream.cli.new_dataset.parquet_files import is_binary, is_list, is_text, rows_of, schema_of
from fairdream.data.images import open_image
from fairdream.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa

IMAGE_WORDS = ("image", "img", "picture", "photo", "jpg", "png")
USUAL_IMAGES = (*IMAGE_WORDS, *USUAL["path"])


def _holds_images(kind: pa.DataType) -> bool:
    """Tell whether a type is the struct in which Hugging Face keeps an image."""
    import pyarrow as pa

    if not pa.types.is_struct(kind):
        return False
    fields = {field.name: field.type for field in kind}
    content, path = fields.get("bytes"), fields.get("path")
    if content is None or path is None:
        return False
    # of a file whose images are all named, or none is, one of them has no type
    return (is_binary(content) or pa.types.is_null(content)) and (is_text(path) or pa.types.is_null(path))


def holds_images(file: Path) -> bool:
    """Tell whether images lie in a Parquet file, one or several a row."""
    return bool(image_columns(file) or list_columns(file))


def list_columns(file: Path) -> list[str]:
    """Return the columns that hold a list of images each row."""
    return [
        field.name
        for field in schema_of(file)
        if is_list(field.type)
        and (
            _holds_images(field.type.value_type)
            or (is_binary(field.type.value_type) and _begins_with_an_image(file, field.name))
        )
    ]


def _no_images(file: Path) -> dict[str, str]:
    """Return what columns hold that are called as images are, but whose values are none."""
    import pyarrow as pa

    images, found = {*image_columns(file), *list_columns(file)}, {}
    for field in schema_of(file):
        if field.name.lower().removesuffix("s") in IMAGE_WORDS and field.name not in images:
            if is_binary(field.type):
                found[field.name] = "no bytes that an image can be read from"
            elif is_list(field.type):
                inner = field.type.value_type
                while is_list(inner):
                    inner = inner.value_type
                numbers = pa.types.is_integer(inner) or pa.types.is_floating(inner)
                found[field.name] = f"lists{' of numbers' if numbers else ''}, no encoded image"
    return found


def image_columns(file: Path) -> list[str]:
    """Return the columns of a Parquet file that hold an image each row, by their type or by their first bytes."""
    return [
        field.name
        for field in schema_of(file)
        if _holds_images(field.type) or (is_binary(field.type) and _begins_with_an_image(file, field.name))
    ]


def _begins_with_an_image(file: Path, column: str) -> bool:
    for row in rows_of(file, [column], at_once=1):
        content = row[column]
        if isinstance(content, list):
            content = content[0] if content else None
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
        When several columns hold images and none, or more than one, has a usual name; when each row has a list of them;
        when the usual one holds something else than images.
    """
    file, schema = files[0], schema_of(files[0])
    columns = image_columns(file)
    lists, strange = list_columns(file), _no_images(file)
    told = "; ".join(f"{name} has {what}" for name, what in strange.items())
    paths = [field.name for field in schema if is_text(field.type)]
    if asked is not None:
        if asked in lists:
            raise UserError(f"{file}: each row of {asked} is a list of images; write a table with an image per row")
        if asked not in columns and asked not in paths:
            why = f"{told}. " if asked in strange else f"no column {asked} of images (--image {asked}); "
            raise UserError(f"{file}: {why}{_listed(columns, paths)}")
        return asked if asked in columns else None
    usual = [name for name in columns if name.lower() in USUAL_IMAGES]
    named = [name for name in paths if name.lower() in USUAL["path"]]
    if strange and not usual and not named:
        raise UserError(
            f"{file}: {told}. Write each image as the bytes of a PNG or JPEG file, or as a file that a column names; "
            f"or say with --image which column is the image. {_listed(columns, named)}"
        )
    if strange:
        notes.append(f"{told}, and is not read")
    if not columns:
        if lists and not named:
            raise UserError(f"{file}: each row of {lists[0]} is a list of images; write a table with an image per row")
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
