"""The training set of one bias, with the validation and test sets as they are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fairdream.data.groups import group_name
from fairdream.data.table_files import as_text, read_table
from fairdream.errors import UserError
from fairdream.identity import seed_of
from fairdream.runtime.files import atomic
from fairdream.runtime.job import LOGGER

if TYPE_CHECKING:
    import pandas as pd


def split(index: str, own: str | None, split: str, keep: dict[str, int], images: str, seed: int) -> None:
    """Write the rows of the index that belong to a bias, with their group; the counts also into the file's metadata.

    The training images of a group stand in a seeded random order of which the first ones stay, so a more biased set is
    a subset of a less biased one.

    Parameters
    ----------
    own
        A table whose column `path` names the training images that stay; ``None``: the first of the seeded order.
    keep
        Training images of each group.
    images
        Image folder inside the data set's, which the own table's paths are relative to.

    Raises
    ------
    UserError
        When the own table names an image that is no training image, or its counts differ from `keep`.
    """
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pd.read_parquet(index)
    table["group"] = [group_name(y, a) for y, a in zip(table["label"], table["attribute"], strict=True)]
    train = table["split"] == "train"
    if own:
        chosen = table[train & table["id"].isin(_named(own, images, table))]
        found = chosen["group"].value_counts().reindex(sorted(keep), fill_value=0).to_dict()
        if found != keep:
            raise UserError(f"{own}: it has {found} images, splits.train_counts says {keep}")
    else:
        order = table.loc[train, "id"].map(lambda name: seed_of("split", seed, name)).sort_values(kind="stable").index
        ranked = table.loc[order]
        chosen = ranked[ranked.groupby("group").cumcount() < ranked["group"].map(keep)]
    for group, count in table.loc[train, "group"].value_counts().sort_index().items():
        LOGGER.info("%s: %d of %d training images", group, keep[str(group)], count)
    rows = pd.concat([table[~train], chosen]).sort_values("id", ignore_index=True)
    written = pa.Table.from_pandas(rows, preserve_index=False)
    counts = {f"train_{group}": str(count) for group, count in sorted(keep.items())}
    with atomic(split) as path:
        pq.write_table(written.replace_schema_metadata({**(written.schema.metadata or {}), **counts}), path)


def _named(own: str, images: str, table: pd.DataFrame) -> set[str]:
    """Return the paths of an own table, as the index writes them."""
    listed = read_table(Path(own))
    if "path" not in listed:
        raise UserError(f"{own}: no column path; it has {', '.join(map(str, listed))}")
    names = as_text(listed["path"])
    paths = f"{images}/" + names if images else names
    unknown = ~paths.isin(table.loc[table["split"] == "train", "id"])  # the id is the path
    if unknown.any():
        row = int(unknown.to_numpy().argmax())
        raise UserError(f"{own}: row {row + 2}: {names.iloc[row]} is no training image of the data set")
    return set(paths)
