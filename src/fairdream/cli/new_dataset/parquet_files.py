"""Parquet files as they are stored: schema, types of columns, rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairdream.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa


@contextmanager
def reading(file: Path) -> Iterator[None]:
    """Say of which file it is that cannot be read."""
    try:
        yield
    except Exception as error:  # a decoder raises whatever a broken file leads it to
        raise UserError(f"{file}: cannot be read as Parquet: {error}") from None


def schema_of(file: Path) -> pa.Schema:
    """Return the schema of a file."""
    import pyarrow.parquet as pq

    with reading(file):
        return pq.read_schema(file)


def is_binary(kind: pa.DataType) -> bool:
    """Tell whether a type holds bytes: Arrow has several, and each writer its own."""
    import pyarrow as pa

    of = pa.types
    return of.is_binary(kind) or of.is_large_binary(kind) or of.is_binary_view(kind) or of.is_fixed_size_binary(kind)


def is_text(kind: pa.DataType) -> bool:
    """Tell whether a type holds text."""
    import pyarrow as pa

    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def is_list(kind: pa.DataType) -> bool:
    """Tell whether a type holds lists."""
    import pyarrow as pa

    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)


def rows_of(file: Path, columns: list[str], at_once: int = 100) -> Iterator[dict[str, Any]]:
    """Yield the rows of a Parquet file, of which so many are in memory."""
    import pyarrow.parquet as pq

    with reading(file), pq.ParquetFile(file) as stored:
        for batch in stored.iter_batches(batch_size=at_once, columns=columns):
            yield from batch.to_pylist()
