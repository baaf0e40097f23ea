"""Reading images the same way everywhere, and the Parquet form in which synthetic ones are kept.

A shard's column `image` is a struct ``{bytes, path}``, which pandas and pyarrow read, and
Hugging Face `datasets` reads as images.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairdream.errors import UserError
from fairdream.files import atomic

if TYPE_CHECKING:
    from PIL import Image

# Images are compressed already; small row groups let a reader take a few.
ROW_GROUP = 100


def open_rgb(source: str | Path | bytes) -> Image.Image:
    """Return an image as 8-bit RGB, turned as its EXIF orientation says.

    Raises
    ------
    UserError
        When the file is missing or no readable image; the message names it.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
            return ImageOps.exif_transpose(image).convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UserError(f"{'a stored image' if isinstance(source, bytes) else source}: {error}") from None


def encode_png(image: Image.Image) -> bytes:
    """Return the bytes of a PNG file."""
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()


def write_shard(path: str | Path, rows: Sequence[dict[str, Any]], metadata: dict[str, str]) -> None:
    """Write image rows (`image` as PNG bytes, `id`, and plain columns) as a Parquet shard."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    image_type = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    columns["image"] = [{"bytes": row["image"], "path": f"{row['id'].replace('/', '_')}.png"} for row in rows]
    table = pa.table(
        {n: pa.array(values, type=image_type if n == "image" else None) for n, values in columns.items()}
    ).replace_schema_metadata({"huggingface": '{"info": {"features": {"image": {"_type": "Image"}}}}', **metadata})
    with atomic(path) as temporary:
        pq.write_table(table, temporary, compression="none", row_group_size=ROW_GROUP)


def merge_shards(parts: Sequence[str | Path], path: str | Path, metadata: dict[str, str]) -> None:
    """Write the rows of shards one after the other as one, the same file as `write_shard` makes of them all.

    A row group of images is in memory at a time.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pq.read_schema(parts[0])
    schema = schema.with_metadata({**(schema.metadata or {}), **metadata})
    with atomic(path) as temporary, pq.ParquetWriter(temporary, schema, compression="none") as writer:
        waiting = schema.empty_table()
        for part in parts:
            with pq.ParquetFile(part) as file:
                for batch in file.iter_batches(batch_size=ROW_GROUP):
                    rows = pa.Table.from_batches([batch]).replace_schema_metadata(schema.metadata)
                    waiting = pa.concat_tables([waiting, rows])
                    if len(waiting) >= ROW_GROUP:
                        writer.write_table(waiting.slice(0, ROW_GROUP))
                        waiting = waiting.slice(ROW_GROUP)
        if len(waiting):
            writer.write_table(waiting)


def iter_pngs(path: str | Path) -> Iterator[tuple[str, bytes]]:
    """Yield id and PNG bytes of a shard's images; a row group is in memory at a time."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=ROW_GROUP, columns=["id", "image"]):
            images = batch.column("image").field("bytes")
            for name, png in zip(batch.column("id"), images, strict=True):
                yield name.as_py(), png.as_py()


def read_pngs(path: str | Path) -> dict[str, bytes]:
    """Return the PNG bytes of a shard's images by id."""
    return dict(iter_pngs(path))
