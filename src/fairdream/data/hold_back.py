"""A part of the training images that stage 1 does not see, for a second stage that learns from unseen ones."""

from __future__ import annotations

from fairdream.errors import UserError
from fairdream.identity import seed_of
from fairdream.runtime.files import atomic
from fairdream.runtime.job import LOGGER


def hold_back(split: str, part: str, share: float, seed: int) -> None:
    """Write the table of a training set with a share of each class's training images in the split `held_back`.

    They are the first of a seeded random order; of each class at least one is held back and one is left. Groups play no
    part in it.

    Raises
    ------
    UserError
        When a class has a single training image.
    """
    import pandas as pd

    rows = pd.read_parquet(split)
    train = rows[rows["split"] == "train"]
    order = train["id"].map(lambda name: seed_of("held back", seed, name)).sort_values(kind="stable").index
    for label, own in train.loc[order].groupby("label"):
        if len(own) < 2:
            raise UserError(
                f"{split}: class {label} has one training image, and AFR learns from some in each of its two stages: "
                "take afr out of methods"
            )
        count = min(max(round(share * len(own)), 1), len(own) - 1)
        rows.loc[own.index[:count], "split"] = "held_back"
        LOGGER.info("%s: %d of %d training images are held back", label, count, len(own))
    with atomic(part) as path:
        rows.to_parquet(path, index=False)
