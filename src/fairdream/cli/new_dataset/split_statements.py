"""What one place says of the splits: a column, columns of yes and no, or words among others."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fairdream.cli.new_dataset.columns import FILE_SPLIT, FOLDER_SPLIT, NAME_SPLIT
from fairdream.cli.new_dataset.split_words import SPLIT_WORDS, SPLITS, hints, likely_split, split_of_word
from fairdream.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

NUMBERED = {"0": "train", "1": "validation", "2": "test"}  # of Waterbirds, CelebA and WILDS
YES_NO = dict.fromkeys(("true", "1", "1.0", "yes", "y"), True) | dict.fromkeys(("false", "0", "0.0", "no", "n"), False)
LEFT_OUT = "none"
PLACES = {
    FOLDER_SPLIT: "the folders of the images",
    FILE_SPLIT: "the names of the tables or of their folders",
    NAME_SPLIT: "the images' own names",
}


@dataclass
class Statement:
    """What one place says of the splits.

    Attributes
    ----------
    name
        What ``--split`` calls it.
    values
        What it says of each image.
    meaning
        The split that a value stands for, of those that are understood; `LEFT_OUT` for images that are no one's.
    problem
        Why the others are not; empty where all is understood.
    told
        How it came to be taken, for one that has no usual name.
    answerable
        Whether ``--split-values`` can say what its values mean.
    """

    name: str
    values: pd.Series
    meaning: dict[str, str]
    problem: str = ""
    told: str = ""
    answerable: bool = True

    def splits(self) -> pd.Series:
        """Return the split of each image, nothing where that is not understood."""
        return self.values.map(self.meaning)


def parse_values(text: str | None) -> dict[str, str]:
    """Return the split of each value that ``--split-values "train=0,test=1"`` names.

    Raises
    ------
    UserError
        When it is not of this form, or gives a value two splits.
    """
    meaning: dict[str, str] = {}
    for pair in text.split(",") if text is not None else []:
        word, mark, value = (part.strip() for part in pair.partition("="))
        split = LEFT_OUT if word.lower() == LEFT_OUT else SPLIT_WORDS.get(word.lower())
        if not mark or split is None or meaning.setdefault(value, split) != split:
            raise UserError(
                f"--split-values {text}: {pair.strip()!r} says no split of a value. Write it as train=0,validation=1,"
                "test=2, a pair for each value; none=VALUE leaves its images out"
            )
    return meaning


def of_hints(values: pd.Series, given: Mapping[str, str], where: str) -> Statement:
    """Return what words among others state: asked about unless every value was given its split."""
    counts = values.value_counts()
    meaning = {value: split for value, split in given.items() if value in counts}
    if set(counts.index) <= meaning.keys():
        return Statement(str(values.name), values, meaning)
    meaning = {value: split for value in counts.index if (split := likely_split(value))} | meaning
    return Statement(str(values.name), values, meaning, f"{where} look like splits")


def of_column(values: pd.Series, given: Mapping[str, str], told: str = "") -> Statement:
    """Return what a column states: by the words in it, by 0, 1 and 2, or as it was said."""
    name, counts = str(values.name), values.value_counts()
    meaning = {value: split for value, split in given.items() if value in counts}
    rest = [value for value in counts.index if value not in meaning]
    folds = "other" in hints(name)
    if not (meaning or folds) and set(rest) == NUMBERED.keys() and counts["0"] == counts.max():
        read = ", ".join(f"{value} as {split}" for value, split in NUMBERED.items())
        return Statement(name, values, NUMBERED, told=f"{name}: {read}, as data sets have it")
    problems = []
    for value in sorted(rest):
        split = split_of_word(value)
        same = next((other for other, own in meaning.items() if own == split and other not in given), None)
        if split is None:
            what = "is not certain" if likely_split(value) else "is no split"
            problems.append(f"{value!r} {what}" if value else f"nothing is said of {counts[value]} image(s)")
        elif same is not None:
            problems.append(f"{value!r} stands for {split}, as does {same!r}")
        else:
            meaning[value] = split
    return Statement(name, values, meaning, "; ".join(problems[:4]), told)


def flag_of(name: str, values: pd.Series) -> str | None:
    """Return the split of which a column such as ``is_test`` says yes or no."""
    split = split_of_word(re.sub(r"^(is|in|for)[-_ ]?", "", name.lower()))
    return split if set(values.str.lower()) <= YES_NO.keys() else None


def of_flags(table: pd.DataFrame, flags: Mapping[str, str], given: Mapping[str, str]) -> Statement:
    """Return what columns of yes and no state together; that of the test alone says of the others: train."""
    import pandas as pd

    name = next(iter(flags))
    if given and len(flags) == 1:
        return of_column(table[name], given)
    yes = pd.DataFrame({column: table[column].str.lower().map(YES_NO) for column in flags})
    splits = pd.Series("", index=table.index, name=name, dtype=object)
    for column, split in flags.items():
        splits = splits.where(~yes[column], splits + split)
    if "test" in flags.values() and "train" not in flags.values():
        splits = splits.replace("", "train")
    wrong = ~splits.isin(SPLITS)
    if not wrong.any():
        meaning = {split: split for split in set(splits)}
        return Statement(name, splits, meaning, told=f"{' and '.join(flags)} say{'s' * (len(flags) == 1)} the splits")
    if len(flags) == 1:
        meaning = {value: flags[name] for value in set(table[name]) if YES_NO[value.lower()]}
        no = ", ".join(sorted(set(table[name]) - meaning.keys()))
        return Statement(name, table[name], meaning, f"which split is {no}?")
    known = {split: split for split in set(splits) if split in SPLITS}
    problem = f"{' and '.join(flags)} give {wrong.sum()} image(s) no split, or two; write one column for them"
    return Statement(name, splits, known, problem, answerable=False)
