"""Images that are one file behind links: none may be for training and for the test, or of two classes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from fairdream.errors import UserError


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
    if twice:
        notes.append(
            f"{len(twice)} image(s) are files that stand for another image too, behind links, and count twice, first "
            f"{' and '.join(twice[0])}"
        )
