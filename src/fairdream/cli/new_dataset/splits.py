"""Which split each image is for, as the data state it: a column, columns of yes and no, names of folders or of files.

A stated split is never replaced by a seeded one in silence. What is understood for certain and contradicted nowhere is
taken; else the message asks, with the options that answer it.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fairdream.cli.new_dataset.columns import FILE_SPLIT, FOLDER_SPLIT, USUAL, column_asked, shown
from fairdream.cli.new_dataset.split_hints import column_hints
from fairdream.cli.new_dataset.split_places import folder_hints, folder_splits, name_hints
from fairdream.cli.new_dataset.split_statements import (
    LEFT_OUT,
    PLACES,
    Statement,
    flag_of,
    of_column,
    of_flags,
    of_hints,
)
from fairdream.cli.new_dataset.split_words import likely_split
from fairdream.errors import UserError

if TYPE_CHECKING:
    import pandas as pd


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
            chosen = of_column(table[column_asked(table, "split", asked, file)], given)
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
    flags = {name: split for name in free if (split := flag_of(name, table[name]))}
    usual = [name for word in USUAL["split"] for name in free if name.lower() == word]
    known = {*usual, *flags, FILE_SPLIT, FOLDER_SPLIT}
    others = [name for name in free if name not in known and column_hints(table[name])]
    found = [of_column(table[name], given) for name in usual]
    for name in others:
        found.append(
            of_column(table[name], given, f"the values of {name} are words for splits: it is taken for the split")
        )
    if flags:
        found.append(of_flags(table, flags, given))
    files = table.get(FILE_SPLIT)
    if files is not None and (files.nunique() > 1 or not found):  # one name for all says least
        found.append(of_column(files, given, "the names of the tables say the splits"))
    own = [table[name] for name in taken]
    folders = table.get(FOLDER_SPLIT)
    if folders is None:
        folders = folder_splits(paths, own, only_where_they_differ=bool(found))
    if folders is not None and not (files is not None and folders.equals(files)):
        found.append(of_column(folders, given, "the folders of the images name their splits"))
    elif folders is None and files is None and (named := folder_hints(paths, own)) is not None:
        found.append(of_hints(named, given, "words in the names of the folders"))
    if not found and (names := name_hints(paths)) is not None:
        found.append(of_hints(names, given, "words in the images' own names"))
    return found


def _contradiction(found: Sequence[Statement]) -> bool:
    """Tell whether two places give an image two splits."""
    known = [one.splits().replace(LEFT_OUT, None) for one in found]
    return any(
        ((first != second) & first.notna() & second.notna()).any()
        for number, first in enumerate(known)
        for second in known[:number]
    )


def _question(found: Sequence[Statement], file: Path) -> str:
    """Return the message that asks which images are for what; of places that say the same, the first asks."""
    said: dict[tuple[str, ...], Statement] = {}
    found = [one for one in found if said.setdefault(tuple(one.values), one) is one]
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
