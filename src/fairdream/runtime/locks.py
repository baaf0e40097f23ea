"""Whether another run reads or writes files of a folder, by the locks that Snakemake keeps while one goes."""

from __future__ import annotations

from pathlib import Path


def are_locked(folder: str | Path, locks: str | Path = ".snakemake/locks") -> bool:
    """Tell whether a run that goes, or was killed, has locked files below a folder: of results, or of models.

    A lock is a file with a path in each line, below the working folder. Runs of other files do not count.
    """
    folder = Path(folder)
    for lock in Path(locks).glob("*.lock"):
        try:
            paths = lock.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:  # its run has just ended
            continue
        if any(Path(path).is_relative_to(folder) for path in paths):
            return True
    return False
