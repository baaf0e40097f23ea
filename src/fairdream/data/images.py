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
from fairdream.runtime.files import atomic

if TYPE_CHECKING:
    from PIL import Image

# Images are compressed already; small row groups let a reader take a few.
ROW_GROUP = 100
# Pillow warns from here on, and refuses twice as many: a small file can unfold to more than the memory holds.
MAX_PIXELS = 89_478_485
# Bytes that a compressed text or colour profile of a PNG may unfold to. Pillow takes 1 MiB; a scanner's profile has 2.
MAX_TEXT = 16 * 2**20


class StoredImage(bytes):
    """An image's bytes that know which shard and row they come from."""

    origin: str = "a stored image"


def open_image(source: str | Path | io.BytesIO) -> Image.Image:
    """Open an image as Pillow does, with room for what cameras and editors write beside the pixels.

    Raises
    ------
    Exception
        Whatever a broken file leads a decoder to.
    """
    from PIL import Image, PngImagePlugin

    # of the whole process: to set it back would take it from other threads
    PngImagePlugin.MAX_TEXT_CHUNK = MAX_TEXT
    try:
        return Image.open(source)
    except ValueError as error:
        raise _in_own_words(error) from None


def _in_own_words(error: Exception) -> Exception:
    """Return what a decoder raised, and for a limit that Pillow names by its own constant what to do."""
    if "MAX_TEXT" not in str(error):
        return error
    return ValueError(
        f"a text or colour profile in it unfolds to more than {MAX_TEXT // 2**20} MiB, or all of them to more than 64; "
        "save it without"
    )


def open_rgb(source: str | Path | bytes) -> Image.Image:
    """Return an image as 8-bit RGB, turned as its EXIF orientation says.

    Of an animation it is the first frame. Of 16 bits the upper eight stay. What is transparent lies on white, as on a
    page: the colours that a file hides under it are anything.

    Raises
    ------
    UserError
        When the file is missing, no readable image, or larger than `MAX_PIXELS`; the message names it.
    """
    from PIL import ImageOps

    try:
        with open_image(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ValueError(f"{image.width} x {image.height} pixels are more than {MAX_PIXELS}; make it smaller")
            return _as_rgb(ImageOps.exif_transpose(image))
    except Exception as error:  # a decoder raises whatever a broken file leads it to
        name = getattr(source, "origin", StoredImage.origin) if isinstance(source, bytes) else source
        raise UserError(f"{name}: {_in_own_words(error)}") from None


def _as_rgb(image: Image.Image) -> Image.Image:
    """Return an image of any mode in 8-bit RGB."""
    import numpy as np
    from PIL import Image

    if image.mode.startswith("I;16"):
        # Pillow would clip at 255, which leaves a white picture
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        raise ValueError("its pixels are numbers of 32 bits without a known range; save it with 8 or 16 bits")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


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
    """Yield id and PNG bytes of a shard's images; a row group is in memory at a time.

    The bytes are a `StoredImage`, so that a broken one is named.

    Raises
    ------
    UserError
        When the shard is damaged inside, where its ends do not tell it.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=ROW_GROUP, columns=["id", "image"]):
                images = batch.column("image").field("bytes")
                for name, png in zip(batch.column("id"), images, strict=True):
                    stored = StoredImage(png.as_py())
                    stored.origin = f"{path}, image {name}; delete this file to have it recreated"
                    yield name.as_py(), stored
    except (OSError, ValueError, TypeError, KeyError, AttributeError, pa.ArrowException) as error:
        if getattr(error, "errno", None):
            raise  # of the system, not of the file
        raise UserError(f"{path}: damaged ({error}); delete it and start again, it is recreated") from None


def read_pngs(path: str | Path) -> dict[str, bytes]:
    """Return the PNG bytes of a shard's images by id."""
    return dict(iter_pngs(path))
