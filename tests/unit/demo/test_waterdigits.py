import csv
import hashlib
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from fairdream.demo.waterdigits import ATTRIBUTES, compose, write_waterdigits


@pytest.fixture(scope="module")
def waterdigits(tmp_path_factory):
    folder = tmp_path_factory.mktemp("waterdigits")
    write_waterdigits(folder)
    return folder


@pytest.fixture(scope="module")
def rows(waterdigits):
    with (waterdigits / "metadata.csv").open() as file:
        return list(csv.DictReader(file))


def digit_of(row):
    return row["path"].removeprefix("images/").split("-")[0]


def test_splits_have_the_stated_groups(rows):
    counts = Counter((row["split"], row["label"], row["attribute"]) for row in rows)
    train = {group[1:]: count for group, count in counts.items() if group[0] == "train"}
    assert train == {("even", "land"): 475, ("odd", "water"): 475, ("even", "water"): 25, ("odd", "land"): 25}
    validation = [count for group, count in counts.items() if group[0] == "validation"]
    assert sum(validation) == 297
    assert max(validation) - min(validation) <= 8
    assert [count for group, count in counts.items() if group[0] == "test"] == [250] * 4


def test_columns_and_files_agree(waterdigits, rows):
    assert list(rows[0]) == ["path", "label", "attribute", "split"]
    assert {row["path"] for row in rows} == {f"images/{path.name}" for path in (waterdigits / "images").iterdir()}
    for row in rows[::97]:
        with Image.open(waterdigits / row["path"]) as image:
            assert (image.size, image.mode) == ((32, 32), "RGB")


def test_every_test_digit_lies_on_both_backgrounds_and_in_no_other_split(rows):
    backgrounds = {}
    for row in rows:
        backgrounds.setdefault((digit_of(row), row["split"]), set()).add(row["attribute"])
    test = [seen for (_, split), seen in backgrounds.items() if split == "test"]
    assert len(test) == 500
    assert all(seen == set(ATTRIBUTES) for seen in test)
    assert len({digit for digit, _ in backgrounds}) == len(backgrounds) == 1797


def test_a_seed_gives_the_same_bytes_and_another_one_others(waterdigits, tmp_path):
    def digest(folder):
        return hashlib.sha256(b"".join(path.read_bytes() for path in sorted(folder.rglob("*.*")))).hexdigest()

    write_waterdigits(tmp_path / "again")
    write_waterdigits(tmp_path / "other", seed=1)
    assert digest(tmp_path / "again") == digest(waterdigits)
    assert digest(tmp_path / "other") != digest(waterdigits)


def test_an_image_does_not_depend_on_the_others(waterdigits, rows):
    from sklearn.datasets import load_digits

    row = rows[500]
    index = int(digit_of(row))
    rng = np.random.default_rng([0, index, ATTRIBUTES.index(row["attribute"])])
    alone = compose(load_digits().images[index], row["attribute"], rng)
    with Image.open(waterdigits / row["path"]) as image:
        assert (np.asarray(image) == alone).all()


def test_an_unknown_background_is_refused():
    with pytest.raises(ValueError, match="'sky' is none of land, water"):
        compose(np.zeros((8, 8)), "sky", np.random.default_rng(0))
