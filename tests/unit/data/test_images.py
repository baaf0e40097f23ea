"""Shards of images are what pandas, pyarrow and image readers expect."""

import io
import json

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from PIL import Image, PngImagePlugin

from fairdream.data.images import encode_png, open_rgb, read_pngs, write_shard
from fairdream.errors import UserError


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


def content(path) -> list:
    """Return the pixels that every stage sees, however it is given the file."""
    pixels = np.asarray(open_rgb(path))
    assert np.array_equal(pixels, np.asarray(open_rgb(path.read_bytes())))
    return pixels.tolist()


@pytest.mark.parametrize("kind", ["png", "tif"])
def test_of_sixteen_bits_the_upper_eight_stay(tmp_path, kind):
    path = tmp_path / f"a.{kind}"
    Image.fromarray(np.array([[0, 255, 256, 32768, 65535]], np.uint16)).save(path)
    assert content(path) == [[[level] * 3 for level in (0, 0, 1, 128, 255)]]


@pytest.mark.parametrize("kind", ["jpg", "tif"])
def test_the_inks_of_a_print_become_their_colours(tmp_path, kind):
    path = tmp_path / f"a.{kind}"
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(path)
    assert np.abs(np.array(content(path)) - [255, 0, 0]).max() <= 2


def test_what_is_transparent_lies_on_white(tmp_path):
    hidden, half, solid = (200, 0, 0, 0), (0, 0, 0, 128), (10, 20, 30, 255)
    image = Image.new("RGBA", (3, 1))
    image.putdata([hidden, half, solid])
    image.save(tmp_path / "a.png")
    assert content(tmp_path / "a.png") == [[[255] * 3, [127] * 3, [10, 20, 30]]]
    palette = Image.new("P", (2, 1))
    palette.putpalette([1, 2, 3, 200, 0, 0])
    palette.putdata([0, 1])
    palette.save(tmp_path / "p.png", transparency=1)
    assert content(tmp_path / "p.png") == [[[1, 2, 3], [255] * 3]]


@pytest.mark.parametrize("kind", ["gif", "webp", "png", "tif"])
def test_of_an_animation_it_is_the_first_picture(tmp_path, kind):
    path = tmp_path / f"a.{kind}"
    first, *others = (Image.new("RGB", (2, 1), colour) for colour in ("red", "lime", "blue"))
    options = {"lossless": True} if kind == "webp" else {}
    first.save(path, save_all=True, append_images=others, **options)
    assert content(path) == [[[255, 0, 0]] * 2]


@pytest.mark.parametrize("kind", ["zTXt", "iTXt", "iCCP"])
def test_two_megabytes_of_text_or_colour_profile_beside_the_pixels_are_legal(tmp_path, kind):
    written = PngImagePlugin.PngInfo()
    if kind != "iCCP":
        add = written.add_text if kind == "zTXt" else written.add_itxt
        add("Comment", "a" * 2 * 2**20, zip=True)
    profile = bytes(2 * 2**20) if kind == "iCCP" else None
    Image.new("RGB", (1, 1), (1, 2, 3)).save(tmp_path / "a.png", pnginfo=written, icc_profile=profile)
    assert content(tmp_path / "a.png") == [[[1, 2, 3]]]


def test_the_ending_says_nothing_about_the_content(tmp_path):
    Image.new("RGB", (1, 1), (1, 2, 3)).save(tmp_path / "a.jpg", format="PNG")
    assert content(tmp_path / "a.jpg") == [[[1, 2, 3]]]


def awkward(folder) -> dict:
    """Write one picture, white at the left and black at the right, in every legal but awkward way."""
    levels = np.zeros((8, 8), np.uint8)
    levels[:, :4] = 255
    plain = Image.fromarray(levels)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    see_through = Image.new("RGBA", (8, 8), (0, 0, 0, 255))
    see_through.paste((9, 9, 9, 0), (0, 0, 4, 8))
    for name, image, options in (
        ("plain.png", plain, {}),
        ("grey16.png", Image.fromarray(levels.astype(np.uint16) * 257), {}),
        ("turned.png", plain.transpose(Image.Transpose.ROTATE_90).convert("RGB"), {"exif": exif}),
        ("clear.png", see_through, {}),
        ("print.tif", plain.convert("RGB").convert("CMYK"), {}),
        ("moving.gif", plain, {"save_all": True, "append_images": [plain.transpose(Image.Transpose.ROTATE_180)]}),
    ):
        image.save(folder / name, **options)
    return {path.name: path for path in sorted(folder.iterdir())}


def test_training_classifier_and_clip_see_the_same_picture(tmp_path):
    torch = pytest.importorskip("torch")
    from fairdream.classification.classifier import decode
    from fairdream.data.embed import _open_listed
    from fairdream.diffusion.latents import _pixels
    from fairdream.identity import file_digest

    (tmp_path / "images").mkdir()
    paths = awkward(tmp_path / "images")
    expected = np.asarray(open_rgb(paths["plain.png"]))
    assert expected[0, 0].tolist() == [255] * 3
    assert expected[0, 7].tolist() == [0] * 3
    pixels = decode(enumerate(paths.values()), len(paths), 8, str(tmp_path))
    for number, (name, path) in enumerate(paths.items()):
        assert np.array_equal(pixels[number].transpose(1, 2, 0), expected), name
        assert np.array_equal(np.asarray(_open_listed((path, file_digest(path)))), expected), name
        trained = torch.round((_pixels([str(path)], 8)[0].permute(1, 2, 0) + 1) * 127.5)
        assert np.array_equal(trained.numpy(), expected), name


def test_an_image_of_one_pixel_fills_the_size_asked_for(tmp_path):
    pytest.importorskip("torch")
    from fairdream.classification.classifier import decode
    from fairdream.diffusion.latents import _pixels

    Image.new("RGB", (1, 1), (255, 0, 0)).save(tmp_path / "dot.png")
    pixels = decode([(0, tmp_path / "dot.png")], 1, 8, str(tmp_path))
    assert np.array_equal(pixels[0], np.broadcast_to(np.array([255, 0, 0], np.uint8).reshape(3, 1, 1), (3, 8, 8)))
    assert _pixels([str(tmp_path / "dot.png")], 8)[0, :, 3, 3].tolist() == [1.0, -1.0, -1.0]


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
