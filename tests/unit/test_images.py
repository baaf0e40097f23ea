"""Shards of images are what pandas, pyarrow and image readers expect."""

import io
import json

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from PIL import Image

from fairdream.errors import UserError
from fairdream.images import encode_png, open_rgb, read_pngs, write_shard


def picture(value: int) -> Image.Image:
    return Image.fromarray(np.full((4, 6, 3), value, np.uint8))


@pytest.fixture
def shard(tmp_path):
    path = tmp_path / "000000-000003.parquet"
    rows = [
        {"id": f"a-x/s/{n:06d}", "image": encode_png(picture(n * 10)), "seed": 2**62 + n, "prompt": f"number {n}"}
        for n in range(3)
    ]
    write_shard(path, rows, {"redrawn": "1"})
    return path, rows


def test_ids_and_bytes_come_back(shard):
    path, rows = shard
    assert read_pngs(path) == {row["id"]: row["image"] for row in rows}


def test_pandas_reads_the_images_and_the_plain_columns(shard):
    path, rows = shard
    table = pd.read_parquet(path)
    assert list(table.columns) == ["id", "image", "seed", "prompt"]
    assert table["seed"].tolist() == [row["seed"] for row in rows]
    image = Image.open(io.BytesIO(table["image"][2]["bytes"]))
    assert np.array_equal(np.asarray(image), np.asarray(picture(20)))


def test_the_struct_and_the_header_are_those_of_an_image_column(shard):
    path, _ = shard
    schema = pq.read_schema(path)
    assert str(schema.field("image").type) == "struct<bytes: binary, path: string>"
    features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
    assert features == {"image": {"_type": "Image"}}
    assert schema.metadata[b"redrawn"] == b"1"
    names = [row["image"]["path"] for row in pq.read_table(path).to_pylist()]
    assert len(set(names)) == 3
    assert all(name.endswith(".png") and "/" not in name for name in names)


def test_a_reader_can_take_a_few_rows(tmp_path):
    png = encode_png(picture(1))
    write_shard(tmp_path / "s.parquet", [{"id": str(n), "image": png} for n in range(250)], {})
    assert pq.ParquetFile(tmp_path / "s.parquet").num_row_groups == 3


def test_every_kind_of_picture_becomes_rgb(tmp_path):
    for mode in ("L", "RGBA", "P", "CMYK", "I;16"):
        path = tmp_path / f"{mode.replace(';', '')}.{'jpg' if mode == 'CMYK' else 'png'}"
        Image.new(mode, (3, 2)).save(path)
        assert open_rgb(path).mode == "RGB"
        assert open_rgb(path.read_bytes()).size == (3, 2)


def test_a_photo_is_turned_as_its_camera_says(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (8, 4)).save(tmp_path / "a.jpg", exif=exif)
    assert open_rgb(tmp_path / "a.jpg").size == (4, 8)


@pytest.mark.parametrize("content", [b"", b"no image at all", encode_png(picture(3))[:40]])
def test_a_broken_file_is_named(tmp_path, content):
    path = tmp_path / "broken.png"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"broken\.png"):
        open_rgb(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"absent\.png"):
        open_rgb(tmp_path / "absent.png")
