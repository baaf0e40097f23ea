"""What `fairdream new-dataset` is told, beside what it finds out by itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Options:
    """The options of the command, each ``None`` where it is not given.

    Attributes
    ----------
    folder
        With the images, or a zip or tar of it.
    table
        A file in the folder, or several by commas.
    images
        The folder in it that the table's paths start from.
    path, label, attribute, split
        Columns.
    split_values
        What the values of the split's column mean: ``train=0,validation=1,test=2``.
    attribute_words
        Words of each value of an attribute that no column has: ``land=on land,in a forest``, or ``on land`` alone.
    missing
        ``"drop"`` or ``"group"``: images without an attribute.
    share_validation, share_test
        Shares of each group, where the table has no such split.
    base
        The configuration of the other sections.
    force
        Write the file anew.
    """

    name: str
    folder: Path | None = None
    table: str | None = None
    images: str | None = None
    path: str | None = None
    label: str | None = None
    attribute: str | None = None
    attribute_words: tuple[str, ...] = ()
    split: str | None = None
    split_values: str | None = None
    missing: str | None = None
    share_validation: float | None = None
    share_test: float | None = None
    base: Path = Path("config.yaml")
    force: bool = False
