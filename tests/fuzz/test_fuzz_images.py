"""Whatever bytes a file of an image has, it is opened as RGB or refused by its name; so is an image in a shard."""

import io
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fuzzing import DAMAGE, damaged, fuzz
from hypothesis import strategies as st
from PIL import Image

from fairdream.cli.new_dataset.tables import find_table
from fairdream.data.images import encode_png, iter_pngs, open_rgb, write_shard
from fairdream.errors import UserError
from fairdream.runtime.files import check_whole

pytestmark = pytest.mark.filterwarnings("ignore:::PIL")  # of broken tags, and of sizes
PIXELS = np.random.default_rng(0).integers(0, 256, (9, 7, 4), np.uint8)
# Each form with the modes that it can hold, and what is written beside the pixels.
FORMS = {
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
    "JPEG": ("L", "RGB", "CMYK"),
    "GIF": ("L", "P", "RGB"),
    "BMP": ("1", "L", "RGB"),
    "TIFF": ("1", "L", "RGB", "CMYK", "F", "I;16", "LAB"),
    "WEBP": ("RGB", "RGBA"),
    "MPO": ("RGB",),
    "ICO": ("RGBA",),
    "PPM": ("L", "RGB"),
}


def image(form: str, mode: str, orientation: int, frames: int) -> bytes:
    """Return an image's bytes, turned by EXIF where the form has it, with more frames where it can."""
    if mode == "I;16":
        picture = Image.fromarray(PIXELS[..., 0].astype(np.uint16) * 257)
    else:
        picture = Image.fromarray(PIXELS[..., :3])
        picture = Image.new(mode, picture.size, 5) if mode == "LAB" else picture.convert(mode)
    options: dict = {}
    if form in ("PNG", "JPEG", "TIFF", "WEBP", "MPO") and orientation:
        exif = Image.Exif()
        exif[0x0112], exif[0x010E] = orientation, "a cat"
        options["exif"] = exif
    if frames and form in ("GIF", "TIFF", "WEBP", "PNG", "MPO"):
        options |= {"save_all": True, "append_images": [picture.rotate(180)]}
    if mode == "P":
        options["transparency"] = 0
    buffer = io.BytesIO()
    picture.save(buffer, format=form, **options)
    return buffer.getvalue()


GOOD = [
    image(form, mode, orientation, frames)
    for form, modes in FORMS.items()
    for mode in modes
    for orientation, frames in ((0, 0), (6, 0), (9, 1))
]
REFUSED = {image("TIFF", "F", *more) for more in ((0, 0), (6, 0), (9, 1))}  # of 32 bits
PICTURE = st.tuples(st.sampled_from(GOOD), st.one_of(st.just([]), DAMAGE, DAMAGE, DAMAGE))


def test_an_image_is_opened_as_rgb_or_refused_by_its_name(tmp_path, tell):
    path = tmp_path / "a.png"

    def read(case: tuple) -> None:
        content = damaged(*case)
        path.write_bytes(content)
        if content in REFUSED:
            with pytest.raises(UserError, match=r"a\.png: its pixels are numbers of 32 bits"):
                open_rgb(path)
        opened = open_rgb(path)
        assert opened.mode == "RGB"
        assert min(opened.size) > 0
        if not case[1]:
            assert sorted(opened.size) == [7, 9]

    ended = fuzz("images", PICTURE, read, 2500, tell)
    assert min(ended.values()) > 200


# Shards, and Parquet of one's own with images in it.

NAME = st.sampled_from(
    ["a.png", "", None, "../a.png", "/etc/passwd", "a" * 300, "a\0b.png", "é.JPG", "a", "image.svg", "d/"]
)
IMAGE = st.none() | st.builds(
    lambda picture, name, none: {"bytes": None if none else damaged(*picture), "path": name},
    st.one_of(st.tuples(st.sampled_from(GOOD), st.just([])), PICTURE),
    NAME,
    st.sampled_from([False, False, False, True]),
)
CLASS = st.sampled_from([0, 1, 1, 0, -1, 7, None, 2.5, "cat", "1"])
FEATURES = st.sampled_from(
    [
        *(None, None, "{}", '{"info": {"features": {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}}}'),
        *(
            '{"info": {"features": {"label": {"names": ["cat"]}}}}',
            '{"info": {"features": ["label"]}}',
            "[]",
            "{",
            "null",
        ),
        *(
            '{"info": null}',
            '{"info": {"features": {"label": {"names": 3}}}}',
            '{"info": {"features": {"label": "x"}}}',
        ),
        *('{"info": {"features": {"label": {"names": [1, null]}}}}', "\xff"),
    ]
)
HELD = st.tuples(
    st.lists(st.tuples(IMAGE, CLASS), min_size=1, max_size=5),
    st.sampled_from(["struct", "bytes", "large", "numbers", "list"]),
    FEATURES,
    st.sampled_from([["pets.parquet"], ["train.parquet", "test.parquet"], ["data/train-00000-of-00001.parquet"]]),
    st.one_of(*[st.just([])] * 4, DAMAGE),
)


def stored(case: tuple) -> bytes:
    rows, kind, features, _, damage = case
    images = [image for image, _ in rows]
    if kind == "struct":
        column = pa.array(images, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    elif kind == "numbers":
        column = pa.array([{"bytes": 1, "path": number} for number in range(len(images))])
    elif kind == "list":
        column = pa.array([[image] for image in images])
    else:
        column = pa.array(
            [(image or {}).get("bytes") for image in images], pa.binary() if kind == "bytes" else pa.large_binary()
        )
    try:
        labels = pa.array([label for _, label in rows])
    except (pa.ArrowException, TypeError):
        labels = pa.array([None if label is None else str(label) for _, label in rows])
    table = pa.table(
        {"image": column, "label": labels, "place": ["grass", "snow"] * (len(rows) // 2) + ["grass"] * (len(rows) % 2)}
    )
    if features is not None:
        table = table.replace_schema_metadata({"huggingface": features.encode("latin1")})
    buffer = pa.BufferOutputStream()
    pq.write_table(table, buffer)
    return damaged(buffer.getvalue().to_pybytes(), damage)


def test_new_dataset_unpacks_every_image_of_parquet_or_refuses_it(tmp_path, tell):
    def read(case: tuple) -> None:
        shutil.rmtree(tmp_path)
        for file in case[3]:
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file).write_bytes(stored(case))
        found = find_table(tmp_path, None, None, None, [])
        if found.path is not None:
            assert len(found.table) == len(case[0]) * len(case[3])
            for path in found.table["path"]:
                assert (tmp_path / path).is_file()
                assert (tmp_path / path).resolve().is_relative_to(tmp_path)

    ended = fuzz("Parquet with images", HELD, read, 600, tell)
    assert min(ended.values()) > 50


def test_a_shard_s_images_are_read_in_their_order_or_it_is_refused(tmp_path, tell):
    picture = encode_png(Image.fromarray(PIXELS[..., :3]))
    shards = st.tuples(st.integers(1, 5), st.integers(0, 3), PICTURE, st.one_of(st.just([]), DAMAGE))
    path = tmp_path / "000000-000005.parquet"

    def read(case: tuple) -> None:
        count, odd, own, damage = case
        pngs = [picture if number != odd else damaged(*own) for number in range(count)]
        write_shard(path, [{"id": f"a-x/s/{number:06d}", "image": png} for number, png in enumerate(pngs)], {})
        path.write_bytes(damaged(path.read_bytes(), damage))
        check_whole([path])
        found = {}
        for name, png in iter_pngs(path):
            found[name] = png
            open_rgb(png)
        if not damage:
            assert list(found.values()) == pngs

    ended = fuzz("shards", shards, read, 500, tell)
    assert min(ended.values()) > 100
