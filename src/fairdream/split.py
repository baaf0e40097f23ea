"""The training set of one bias, with the validation and test sets as they are."""

from __future__ import annotations

from fairdream.bias import counts_at, group_name
from fairdream.files import atomic
from fairdream.identity import seed_of
from fairdream.job import LOGGER


def split(index: str, split: str, bias: str, train_counts: dict[str, int], seed: int) -> None:
    """Write the rows of the index that belong to a bias, with their group.

    The training images of a group stand in a seeded random order of which the first ones stay, so a more biased set is
    a subset of a less biased one.

    Parameters
    ----------
    bias
        ``"original"`` or a ratio.
    train_counts
        Images of each group at the original bias.
    """
    import pandas as pd

    table = pd.read_parquet(index)
    table["group"] = [group_name(y, a) for y, a in zip(table["label"], table["attribute"], strict=True)]
    keep = counts_at(train_counts, bias)
    parts = [table[table["split"] != "train"]]
    for group, rows in table[table["split"] == "train"].groupby("group"):
        order = rows["id"].map(lambda name: seed_of("split", seed, name)).sort_values(kind="stable").index
        parts.append(rows.loc[order[: keep[group]]])
        LOGGER.info("%s: %d of %d training images", group, keep[group], len(rows))
    chosen = pd.concat(parts).sort_values("id", ignore_index=True)
    with atomic(split) as path:
        chosen.to_parquet(path, index=False)
