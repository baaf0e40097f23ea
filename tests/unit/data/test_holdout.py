"""Splits of one's own: stratified, seeded, and steady when images are added."""

import pandas as pd
import pytest
from pydantic import ValidationError

from fairdream.config.datasets import HeldOut
from fairdream.data.holdout import hold_out, quota

SIZES = {"a-x": 100, "a-y": 10, "a-z": 1, "b-x": 2, "b-y": 3, "b-z": 57}


def table(sizes=SIZES, split="train") -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"path": f"{group}/{number}.png", "label": group[0], "attribute": group[2], "split": split}
            for group, size in sizes.items()
            for number in range(size)
        ]
    )


def counts(split: pd.Series, rows: pd.DataFrame) -> dict[str, tuple[int, ...]]:
    group = rows["label"] + "-" + rows["attribute"]
    names = ("train", "validation", "test")
    return {name: tuple(int((split[group == name] == part).sum()) for part in names) for name in group.unique()}


def test_each_group_gives_its_rounded_share_and_keeps_an_image_to_train():
    rows = table()
    assert counts(hold_out(rows, HeldOut(validation=0.1, test=0.2), 0), rows) == {
        "a-x": (70, 10, 20),
        "a-y": (7, 1, 2),
        "a-z": (1, 0, 0),
        "b-x": (1, 0, 1),
        "b-y": (1, 1, 1),
        "b-z": (40, 6, 11),
    }


@pytest.mark.parametrize("images", range(30))
def test_no_quota_takes_the_last_image(images):
    taken = quota(images, HeldOut(validation=0.45, test=0.5))
    assert images - sum(taken.values()) >= min(images, 1)


def test_the_seed_alone_decides_whatever_the_order_of_the_table():
    rows, shares = table(), HeldOut(validation=0.1, test=0.2)
    first = hold_out(rows, shares, 0)
    shuffled = rows.sample(frac=1, random_state=0)
    assert hold_out(shuffled, shares, 0).sort_index().equals(first)
    assert not hold_out(rows, shares, 1).equals(first)


def test_images_that_have_a_split_keep_it():
    rows = pd.concat(
        [table(), table({"a-x": 5}, "test").assign(path=lambda t: "other/" + t["path"])], ignore_index=True
    )
    split = hold_out(rows, HeldOut(validation=0.1), 0)
    assert (split[rows["split"] == "test"] == "test").all()
    assert (split == "test").sum() == 5


def test_an_image_more_moves_at_most_one_other_to_each_split():
    shares = HeldOut(validation=0.1, test=0.2)
    for size in range(40, 60):
        before = hold_out(table({"a-x": size}), shares, 0)
        after = hold_out(table({"a-x": size + 1}), shares, 0)[:size]
        assert (before != after).sum() <= 2


@pytest.mark.parametrize("shares", [{}, {"validation": 0.5, "test": 0.5}, {"test": 1.0}, {"test": -0.1}])
def test_shares_that_leave_nothing_or_take_nothing_are_refused(shares):
    with pytest.raises(ValidationError):
        HeldOut(**shares)
