"""What the values of the columns of class and attribute are called, and what is odd about them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from fairdream.cli.new_dataset.columns import MOST_VALUES
from fairdream.data.listing import one_form
from fairdream.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

NUMBER = r"-?\d+(\.\d+)?"
LONGEST_NAME = 60  # of a class or attribute, in paths
CODE = rf"{NUMBER}|true|false|yes|no"  # nothing that a prompt could say of an image


def named_values(values: Iterable[str], column: str, role: str, file: Path) -> dict[str, str]:
    """Return a name, fit for paths and groups, for each value of a label's or attribute's column.

    Numbers, and words of yes and no, are named after the column: ``place_0``, ``smiling_true``.

    Raises
    ------
    UserError
        When there are too few or too many values to be classes, or some differ in case, blanks or Unicode form
        alone, or as one number is written in two ways.
    """
    different = sorted(set(values) - {""}, key=lambda value: (len(value), value) if value.isdigit() else (0, value))
    if not 2 <= len(different) <= MOST_VALUES:
        shown = ", ".join(different[:5]) + ", …" * (len(different) > 5)
        raise UserError(
            f"{file}: the column {column} has {len(different)} different value(s) ({shown}); "
            f"{'an' if role == 'attribute' else 'a'} {role} has 2 to {MOST_VALUES}. Choose another column with --{role}"
        )
    alike: dict[str, str] = {}
    for value in different:
        is_number = re.fullmatch(NUMBER, value.strip()) is not None
        other = alike.setdefault(
            str(Fraction(value)) if is_number else " ".join(one_form(value).casefold().split()), value
        )
        # letters may be classes
        if other != value and max(len(other), len(value)) > 1:
            how = "are one number" if is_number else "differ in case, blanks or Unicode form alone"
            raise UserError(f"{file}: {column}: {other!r} and {value!r} {how}; fix the table")
    names: dict[str, str] = {}
    for value in different:
        text = f"{column}_{value.lower().replace('-', 'minus')}" if is_code(value) else value
        name = (
            re.sub(r"[^A-Za-z0-9.]+", "_", _without_accents(text))[:LONGEST_NAME].strip("_.")
            or f"{role}_{len(names) + 1}"
        )
        own, number = name, len(names) + 1
        while own in names:
            own, number = f"{name}_{number}", number + 1
        names[own] = value
    return names


def _without_accents(text: str) -> str:
    return "".join(letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))


def is_code(value: str) -> bool:
    """Tell whether a value is a number or yes or no, which only its column's name explains."""
    return re.fullmatch(CODE, value.lower()) is not None


def check_labels(labels: pd.Series, paths: pd.Series, file: Path) -> None:
    """Stop where images have no class.

    Raises
    ------
    UserError
        With how many there are, and the first.
    """
    empty = labels == ""
    if empty.any():
        raise UserError(
            f"{file}: {empty.sum()} of {len(labels)} images have no {labels.name}, first {paths[empty].iloc[0]}. Fill "
            "the column in, remove their rows, or choose another column with --label"
        )


def tell_of_values(label: pd.Series, attribute: pd.Series, notes: list[str]) -> None:
    """Tell of codes that need words, and of a class and an attribute that say the same."""
    for role, column in (("label", label), ("attribute", attribute)):
        codes = sorted({value for value in column if is_code(value)})
        if codes:
            what = "numbers" if any(re.fullmatch(NUMBER, code) for code in codes) else "yes or no"
            notes.append(
                f"{column.name} has {what}: write under `{role}s` what they stand for, in words for the prompts"
            )
    known = attribute != ""
    pairs = len(set(zip(label[known], attribute[known], strict=True)))
    if pairs == label[known].nunique() == attribute[known].nunique():
        notes.append(
            f"each {label.name} has one {attribute.name} and each {attribute.name} one {label.name}: either the data "
            "are wholly biased, or the columns say the same; else --attribute names another"
        )
