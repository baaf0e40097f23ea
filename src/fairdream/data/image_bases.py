"""Which folders the paths of a table may start from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fairdream.data.listing import as_on_disk, subfolders

SOME = 20  # rows that decide where to look; one that is missing shows later, by its name


def image_bases(folder: Path, paths: Sequence[str]) -> list[Path]:
    """Return the folders, up to two levels below, that have the most of the first images; the highest ones."""
    first = [path for path in paths[:SOME] if not path.startswith("/")]
    best: list[Path] = []
    most, bases = 0, [folder]
    for _ in range(3):
        counts = {base: sum(own is not None for own in as_on_disk(base, first)) for base in bases}
        if max(counts.values(), default=0) > most:
            most = max(counts.values())
            best = [base for base, count in counts.items() if count == most]
        if most == len(first):
            break
        bases = [inner for base in bases for inner in subfolders(base)]
    return best
