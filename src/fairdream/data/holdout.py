"""Splits of one's own: a seeded share of each group's training images for validation and test."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fairdream.config.datasets import HeldOut
from fairdream.identity import seed_of

if TYPE_CHECKING:
    import pandas as pd


def quota(images: int, shares: HeldOut) -> dict[str, int]:
    """Return how many of a group's training images go to the test and to validation.

    The rounded share, and at least one as long as one is left to train: a test without a group says nothing of it.
    """
    taken: dict[str, int] = {}
    left = images
    for split, share in (("test", shares.test), ("validation", shares.validation)):
        taken[split] = min(max(1, round(share * images)), max(0, left - 1)) if share else 0
        left -= taken[split]
    return taken


def hold_out(table: pd.DataFrame, shares: HeldOut, seed: int) -> pd.Series:
    """Return the split of each image after validation and test have taken their shares of each training group.

    The first of a seeded order by path are taken, so an image more moves at most one other from each split to the next:
    a shuffle by position would deal all of them anew, and with them every adapter.

    Parameters
    ----------
    table
        `path`, `label`, `attribute` and `split`.
    """
    train = table[table["split"] == "train"]
    order = train["path"].map(lambda path: seed_of("hold out", seed, path)).sort_values(kind="stable").index
    split = table["split"].copy()
    for _, rows in train.loc[order].groupby(["label", "attribute"], sort=True):
        start = 0
        for name, count in quota(len(rows), shares).items():
            split[rows.index[start : start + count]] = name
            start += count
    return split
