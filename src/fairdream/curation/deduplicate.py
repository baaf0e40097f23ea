"""A selection without the images that are near copies of training images."""

from __future__ import annotations

from fairdream.errors import UserError
from fairdream.runtime.files import atomic
from fairdream.runtime.job import LOGGER


def distinct(selected: str, copies: str, distinct: str) -> None:
    """Write the rows of a selection that are no near copies.

    Raises
    ------
    UserError
        When nothing of a group is left.
    """
    import pandas as pd

    table = pd.read_parquet(selected)
    named = pd.read_parquet(copies, columns=["id", "copy"])
    kept = table[~table["id"].isin(named.loc[named["copy"], "id"])]
    for group, own in table.groupby("group"):
        left = int((kept["group"] == group).sum())
        LOGGER.info("%s: %d near copies of %d selected images left out", group, len(own) - left, len(own))
        if left == 0:
            raise UserError(
                f"{group}: all {len(own)} selected images are near copies of training images. Look at the pairs "
                "(target audits); raise audits.copy_embedding or audits.copy_pixels, or set select.drop_copies: false"
            )
    with atomic(distinct) as path:
        kept.to_parquet(path, index=False)
