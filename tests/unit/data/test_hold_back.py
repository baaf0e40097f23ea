"""The training images that stage 1 does not see."""

import pandas as pd
import pytest

from fairdream.data.hold_back import hold_back
from fairdream.errors import UserError


def held_back(folder, counts, share=0.2, seed=0) -> pd.DataFrame:
    """Hold back of a training set with `counts` images of each class, and a test image of each."""
    rows = [(f"{label}{number:03d}", label, "train") for label, count in counts.items() for number in range(count)]
    rows += [(f"{label}-test", label, "test") for label in counts]
    table = pd.DataFrame(rows, columns=["id", "label", "split"])
    table.to_parquet(folder / "split.parquet", index=False)
    hold_back(str(folder / "split.parquet"), str(folder / "part.parquet"), share, seed)
    part = pd.read_parquet(folder / "part.parquet")
    assert part[["id", "label"]].equals(table[["id", "label"]])
    assert part[part["split"] != "held_back"].equals(table[part["split"] != "held_back"])
    assert set(table["split"][part["split"] == "held_back"]) <= {"train"}
    return part


def test_a_share_of_each_class_is_held_back_and_one_image_is_left(tmp_path):
    part = held_back(tmp_path, {"a": 50, "b": 10, "c": 2})
    counts = part[part["split"] == "held_back"]["label"].value_counts().to_dict()
    assert counts == {"a": 10, "b": 2, "c": 1}
    counts = held_back(tmp_path, {"a": 3}, share=0.99)["split"].value_counts().to_dict()
    assert counts == {"held_back": 2, "train": 1, "test": 1}


def test_which_ones_are_held_back_hangs_on_the_seed_and_an_image_more_moves_few(tmp_path):
    def names(**values):
        part = held_back(tmp_path, **values)
        return set(part["id"][part["split"] == "held_back"])

    first = names(counts={"a": 50})
    assert first == names(counts={"a": 50})
    assert first != names(counts={"a": 50}, seed=1)
    assert len(first - names(counts={"a": 51})) <= 1


def test_a_class_of_one_image_is_refused(tmp_path):
    with pytest.raises(UserError, match="class b has one training image, and AFR"):
        held_back(tmp_path, {"a": 5, "b": 1})
