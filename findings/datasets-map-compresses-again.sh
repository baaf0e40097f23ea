#!/usr/bin/env bash
# datasets 5.2.0: `map` with a function that looks at a JPEG image compresses it again, at Pillow's quality of 75, also
# where the function returns another column alone.
#
# Looking at `row["image"]` decodes it. What `map` then writes is the decoded image, encoded anew, with the format that it
# had and that format's defaults: the loss of a second compression, coarser than the first, and an Orientation in EXIF
# applied to the pixels. So a column of widths, hashes or CLIP scores changes the images that it is about. `filter`
# leaves them, and a data set that refers to files keeps the reference; one in Parquet, as the hub's, is hit.
#
# Seen: four JPEGs of quality 95. After `map` of a function that does not look at the image, each is byte for byte what it
# was; of one that returns its width, all have half the bytes, and pixels differ by up to 12 levels. With
# `cast_column("image", Image(decode=False))` before, nothing changes.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
packages=(datasets==5.2.0 pillow==13.0.0 numpy==2.4.6)
if command -v uv > /dev/null; then
    uv venv --quiet "$folder/venv"
    uv pip install --quiet --python "$folder/venv/bin/python" "${packages[@]}"
else
    python3 -m venv "$folder/venv"
    "$folder/venv/bin/pip" install --quiet --disable-pip-version-check "${packages[@]}"
fi

cd "$folder"
"$folder/venv/bin/python" -W ignore - << 'END'
import io
import os

import numpy as np
from PIL import Image

os.environ["HF_DATASETS_CACHE"] = "cache"
os.environ["HF_HUB_OFFLINE"] = "1"
import datasets

datasets.disable_progress_bars()
random = np.random.default_rng(0)


def jpeg():
    coarse = Image.fromarray(random.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    buffer = io.BytesIO()
    coarse.resize((256, 192), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def stored(images):
    return [row["bytes"] for row in images.cast_column("image", datasets.Image(decode=False))["image"]]


def decoded(content):
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)


rows = {"image": [{"bytes": jpeg(), "path": None} for _ in range(4)]}
made = datasets.Dataset.from_dict(rows, features=datasets.Features({"image": datasets.Image()}))
made.to_parquet("images.parquet")
images = datasets.load_dataset("parquet", data_files="images.parquet", split="train")
before = stored(images)
blind = stored(images.map(lambda row: {"number": 1}))
seen = stored(images.map(lambda row: {"width": row["image"].width}))
raw = images.cast_column("image", datasets.Image(decode=False))
kept = stored(raw.map(lambda row: {"width": Image.open(io.BytesIO(row["image"]["bytes"])).width}))
most = max(abs(decoded(one) - decoded(other)).max() for one, other in zip(before, seen, strict=True))
print(f"datasets {datasets.__version__}: bytes before {[len(own) for own in before]}")
print(f"bytes after a column of widths {[len(own) for own in seen]}; pixels differ by up to {most} levels")
assert before == [row["bytes"] for row in rows["image"]] == blind == kept
assert all(len(one) > 1.5 * len(other) for one, other in zip(before, seen, strict=True))
assert most >= 5
print("as described")
END
