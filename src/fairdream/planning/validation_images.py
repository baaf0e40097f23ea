"""Methods that need validation images, and data sets that have none: told where the configuration says it."""

from __future__ import annotations

from fairdream.config.datasets import Dataset
from fairdream.config.root import Config
from fairdream.errors import UserError
from fairdream.methods import method_of

NEED_VALIDATION = ("self", "dfr", "afr", "hsfm")  # recipes


def check(config: Config) -> None:
    """Refuse a method that needs validation images where a data set has none.

    How many a table has is known when it has been read; where there are too few, the method's own job says it.

    Raises
    ------
    UserError
        Names the method, the data set and the keys that change it.
    """
    for dataset, own in config.datasets.items():
        for row in config.methods:
            if method_of(row).recipe in NEED_VALIDATION and not _has_validation(own):
                raise UserError(
                    f"methods: {row} needs validation images, and datasets.{dataset} has none; give it "
                    f"held_out.validation, such as 0.1 (its train_counts then go down), or take {row} out of methods"
                )


def _has_validation(own: Dataset) -> bool:
    """Tell whether a data set may have validation images, by what is said of its splits."""
    if own.held_out and own.held_out.validation:
        return True
    if all(table.split is None for table in own.tables):
        return False
    return own.split_values is None or "validation" in own.split_values
