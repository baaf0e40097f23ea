"""Which split each image is for, as the data state it: a column, columns of yes and no, names of folders or of files.

A stated split is never replaced by a seeded one in silence. What is understood for certain and contradicted nowhere is
taken; else the message asks, with the options that answer it.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fairdream.cli.new_dataset.columns import FILE_SPLIT, FOLDER_SPLIT, NAME_SPLIT, USUAL, column_asked, shown
from fairdream.cli.new_dataset.split_hints import column_hints, folder_hints, name_hints, shared_folders
from fairdream.cli.new_dataset.split_words import SPLIT_WORDS, SPLITS, hints, likely_split, split_of, split_of_word
from fairdream.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

NUMBERED = {"0": "train", "1": "validation", "2": "test"}  # of Waterbirds, CelebA and WILDS
YES_NO = dict.fromkeys(("true", "1", "1.0", "yes", "y"), True) | dict.fromkeys(("false", "0", "0.0", "no", "n"), False)
LEFT_OUT = "none"
PLACES = {
    FOLDER_SPLIT: "the folders of the images",
    FILE_SPLIT: "the tables' names",
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


def stated_split(
    table: pd.DataFrame,
    paths: Sequence[str],
    taken: Iterable[str],
    asked: str | None,
    given: Mapping[str, str],
    file: Path,
    notes: list[str],
) -> Statement | None:
    """Return what says the split of every image; ``None``: nothing does, or --split none.

    Parameters
    ----------
    paths
        Of the images, from the data set's folder.
    taken
        Columns of something else.
    asked, given
        ``--split`` and ``--split-values``.

    Raises
    ------
    UserError
        When something states a split and what it says is not certain, or contradicted by another.
    """
    if asked == LEFT_OUT:
        if given:
            raise UserError(
                "--split none takes no split of the table, so --split-values has nothing to say; leave one out"
            )
        return None
    taken = set(taken)
    found = _statements(table, paths, taken, given)
    if asked is not None:
        chosen = next((one for one in found if one.name == asked), None)
        if chosen is None or (given and asked in table):
            chosen = _of_column(table[column_asked(table, "split", asked, file)], given)
        found = [chosen]
    elif not found and given:
        raise UserError(f"{file}: nothing in it looks like a split; say with --split which column --split-values means")
    elif not found:
        return None
    certain = [one for one in found if not one.problem]
    # words beside known ones are not passed over; silence is, and what is no word at all, such as numbers of folds
    half = [one for one in found if one.meaning and set(one.values) - {"", *one.meaning}]
    if not certain or half or _contradiction(found):
        raise UserError(_question(found, file))
    chosen = certain[0]
    if lost := [value for value in given if not (chosen.values == value).any()]:
        lacking = ", ".join(map(repr, lost))
        raise UserError(f"{file}: --split-values names {lacking}, which {chosen.name} has not: {shown(chosen.values)}")
    if chosen.told and asked is None:
        notes.append(f"{chosen.told}; else --split none")
    for other in found:
        if other.problem:
            notes.append(f"the split is that of {chosen.name}; {other.name} is not read for one, else --split")
    return chosen


def _statements(
    table: pd.DataFrame, paths: Sequence[str], taken: set[str], given: Mapping[str, str]
) -> list[Statement]:
    """Return what states a split, columns with usual names first."""
    free = [name for name in table if name not in taken]
    flags = {name: split for name in free if (split := _flag(name, table[name]))}
    usual = [name for word in USUAL["split"] for name in free if name.lower() == word]
    others = [name for name in free if name not in (*usual, *flags, FILE_SPLIT) and column_hints(table[name])]
    found = [_of_column(table[name], given) for name in usual]
    for name in others:
        found.append(
            _of_column(table[name], given, f"the values of {name} are words for splits: it is taken for the split")
        )
    if flags:
        found.append(_of_flags(table, flags, given))
    files = table.get(FILE_SPLIT)
    if files is not None and (files.nunique() > 1 or not found):  # one name for all says least
        found.append(_of_column(files, given, "the names of the tables say the splits"))
    own = [table[name] for name in taken]
    folders = _folder_splits(paths, own, only_where_they_differ=bool(found))
    if folders is not None and not (files is not None and folders.equals(files)):
        found.append(_of_column(folders, given, "the folders of the images name their splits"))
    elif folders is None and files is None and (named := folder_hints(paths, own)) is not None:
        found.append(_of_hints(named, given, "words in the names of the folders"))
    if not found and (names := name_hints(paths)) is not None:
        found.append(_of_hints(names, given, "words in the images' own names"))
    return found


def _of_hints(values: pd.Series, given: Mapping[str, str], where: str) -> Statement:
    """Return what words among others state: asked about unless every value was given its split."""
    counts = values.value_counts()
    meaning = {value: split for value, split in given.items() if value in counts}
    if set(counts.index) <= meaning.keys():
        return Statement(str(values.name), values, meaning)
    meaning = {value: split for value in counts.index if (split := likely_split(value))} | meaning
    return Statement(str(values.name), values, meaning, f"{where} look like splits")


def _of_column(values: pd.Series, given: Mapping[str, str], told: str = "") -> Statement:
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
            problems.append(f"{value!r} is no split" if value else f"nothing is said of {counts[value]} image(s)")
        elif same is not None:
            problems.append(f"{value!r} stands for {split}, as does {same!r}")
        else:
            meaning[value] = split
    return Statement(name, values, meaning, "; ".join(problems[:4]), told)


def _flag(name: str, values: pd.Series) -> str | None:
    """Return the split of which a column such as ``is_test`` says yes or no."""
    split = split_of_word(re.sub(r"^(is|in|for)[-_ ]?", "", name.lower()))
    return split if set(values.str.lower()) <= YES_NO.keys() else None


def _of_flags(table: pd.DataFrame, flags: Mapping[str, str], given: Mapping[str, str]) -> Statement:
    """Return what columns of yes and no state together; that of the test alone says of the others: train."""
    import pandas as pd

    name = next(iter(flags))
    if given and len(flags) == 1:
        return _of_column(table[name], given)
    yes = pd.DataFrame({column: table[column].str.lower().map(YES_NO) for column in flags})
    splits = pd.Series("", index=table.index, name=name, dtype=object)
    for column, split in flags.items():
        splits = splits.where(~yes[column], splits + split)
    if "test" in flags.values() and "train" not in flags.values():
        splits = splits.replace("", "train")
    wrong = ~splits.isin(SPLITS)
    if not wrong.any():
        meaning = {split: split for split in set(splits)}
        return Statement(name, splits, meaning, told=f"{' and '.join(flags)} say the splits")
    if len(flags) == 1:
        meaning = {value: flags[name] for value in set(table[name]) if YES_NO[value.lower()]}
        no = ", ".join(sorted(set(table[name]) - meaning.keys()))
        return Statement(name, table[name], meaning, f"which split is {no}?")
    known = {split: split for split in set(splits) if split in SPLITS}
    problem = f"{' and '.join(flags)} give {wrong.sum()} image(s) no split, or two; write one column for them"
    return Statement(name, splits, known, problem, answerable=False)


def _folder_splits(
    paths: Sequence[str], columns: Sequence[pd.Series], only_where_they_differ: bool
) -> pd.Series | None:
    """Return the split that an image's folders name; nothing where no folder does.

    A folder with the name of the image's class or attribute is no split. Folders that all images share say something
    only where nothing else does.
    """
    import pandas as pd

    folders = [path.split("/")[:-1] for path in paths]
    classes = [set(own) for own in zip(*columns, strict=True)]
    shared = shared_folders(folders)

    def said(of: Callable[[str], str | None], levels: slice) -> list[str]:
        return [
            "+".join(sorted({split for name in own[levels] if name not in known and (split := of(name))}))
            for own, known in zip(folders, classes, strict=True)
        ]

    # names that only begin with a word, as `train_station` does, count where every image has one
    found = said(split_of, slice(shared, None))
    if not all(split in SPLITS for split in found):
        found = said(split_of_word, slice(shared, None))
    if not any(found) and not only_where_they_differ:
        found = said(split_of_word, slice(shared))
    return pd.Series(found, name=FOLDER_SPLIT, dtype=object) if any(found) else None


def _contradiction(found: Sequence[Statement]) -> bool:
    """Tell whether two places give an image two splits."""
    known = [one.splits().replace(LEFT_OUT, None) for one in found]
    return any(
        ((first != second) & first.notna() & second.notna()).any()
        for number, first in enumerate(known)
        for second in known[:number]
    )


def _question(found: Sequence[Statement], file: Path) -> str:
    """Return the message that asks which images are for what."""
    lines = [f"{file}: which images are for training and which for the test is not certain."]
    for one in found:
        what = PLACES.get(one.name)
        lines.append(f"  {one.name}{f' ({what})' if what else ''}: {one.problem or 'understood'}; {shown(one.values)}")
    if len(found) > 1 and _contradiction(found):
        lines.append("They contradict each other.")
    answers = []
    for one in (one for one in found if one.answerable):
        answer = f"--split {shlex.quote(one.name)}"
        if one.problem:
            values = list(dict.fromkeys([*one.meaning, *sorted(set(one.values))]))
            pairs = ",".join(f"{one.meaning.get(value) or likely_split(value) or '?'}={value}" for value in values)
            answer += f' --split-values "{pairs}"'
            if "?=" in pairs:
                answer += " (for each ? train, validation, test, or none to leave its images out)"
        answers.append(answer)
    lines.append(f"Say {', or '.join([*answers, '--split none for a seeded split of all images'])}")
    return "\n".join(lines)
