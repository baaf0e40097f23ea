"""Images that are one file behind links, or copies by their names: none may be for training and for the test."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from fairdream.errors import UserError

# As Windows, macOS, browsers, Dropbox, Nextcloud and Syncthing name a second file of one name.
COPY = r" \(\d+\)$| - copy( \(\d+\))?$| copy( \d+)?$|\bconflicted copy\b|\.sync-conflict-|(^|/)copy of "


def check_links(folder: Path, paths: Sequence[str], told: Sequence[tuple[str, ...]], notes: list[str]) -> None:
    """Stop where one file has two paths and not the same class, attribute and split; note it where these agree.

    Parameters
    ----------
    paths
        The images' paths below the folder, each once.
    told
        Class, attribute and split of each; where no split is stated something that no two share, as a seeded one may
        take one of two paths for the test.

    Raises
    ------
    UserError
        With both paths of the first.
    """
    real = cache(os.path.realpath)  # of folders: far fewer than images
    first: dict[str, int] = {}
    twice = []
    for number, path in enumerate(paths):
        file = os.path.join(folder, path)
        where = os.path.join(real(os.path.dirname(file)), os.path.basename(file))
        other = first.setdefault(os.path.realpath(where) if os.path.islink(where) else where, number)
        if other == number:
            continue
        if told[other] != told[number]:
            raise UserError(
                f"{folder}: {paths[other]} and {path} are one file behind links, for different classes, attributes or "
                "splits; leave one of them, or copy what is meant to be another image"
            )
        twice.append((paths[other], path))
    if copies := [path for path in paths if re.search(COPY, os.path.splitext(path)[0], re.IGNORECASE)]:
        notes.append(
            f"{len(copies)} image(s) are called as copies of others are, first {copies[0]}: remove them, as a split "
            "may put a copy into the test and its original into training"
        )
    if twice:
        notes.append(
            f"{len(twice)} image(s) are files that stand for another image too, behind links, and count twice, first "
            f"{' and '.join(twice[0])}"
        )
