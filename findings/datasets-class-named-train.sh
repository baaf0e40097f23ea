#!/usr/bin/env bash
# datasets 5.2.0, load_dataset("imagefolder"): a class whose folder has a split's word in its name takes the place of the
# whole data set. The images of all other classes are left out, without an error or a warning.
#
# Splits are found by words in paths, at any depth and in the files' own names: train, training, val, valid, validation,
# dev, test, testing, eval, evaluation, between blanks, points, hyphens or underscores. Where a file has such a word, only
# files with one are taken. COCO and CIFAR-100 have a class called train. With one folder left the label is dropped too.
#
# Seen: of three folders with five images each, bus, car and train, five images are loaded, without labels; of bus, car
# and "test tube" five, as the test set; and of bus and car one image, for a file that is called bus/road-test.png.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
packages=(datasets==5.2.0 pillow==13.0.0)
if command -v uv > /dev/null; then
    uv venv --quiet "$folder/venv"
    uv pip install --quiet --python "$folder/venv/bin/python" "${packages[@]}"
else
    python3 -m venv "$folder/venv"
    "$folder/venv/bin/pip" install --quiet --disable-pip-version-check "${packages[@]}"
fi

cd "$folder"
"$folder/venv/bin/python" -W ignore - << 'END'
import os

from PIL import Image

os.environ["HF_DATASETS_CACHE"] = "cache"
os.environ["HF_HUB_OFFLINE"] = "1"
import datasets

datasets.disable_progress_bars()


def load(name, files):
    """Return of each split how many images are loaded, and the names of the classes."""
    for number, file in enumerate(files):
        os.makedirs(os.path.dirname(f"{name}/{file}"), exist_ok=True)
        Image.new("RGB", (8, 8), (number, 0, 0)).save(f"{name}/{file}")
    found = datasets.load_dataset("imagefolder", data_dir=name)
    classes = {split: getattr(own.features.get("label"), "names", None) for split, own in found.items()}
    print(f"{len(files)} files: {({split: len(own) for split, own in found.items()})}, classes {classes}")
    return {split: (len(own), classes[split]) for split, own in found.items()}


def folders(*names):
    return [f"{name}/{number}.png" for name in names for number in range(5)]


print(f"datasets {datasets.__version__}")
assert load("a", folders("bus", "car", "van")) == {"train": (15, ["bus", "car", "van"])}
assert load("b", folders("bus", "car", "train")) == {"train": (5, None)}
assert load("c", folders("bus", "car", "test tube")) == {"test": (5, None)}
assert load("d", [*folders("bus", "car"), "bus/road-test.png"]) == {"test": (1, None)}
print("as described")
END
