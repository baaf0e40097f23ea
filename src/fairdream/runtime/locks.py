"""Whether another run is writing the same results, by the locks that Snakemake leaves while one goes."""

from __future__ import annotations

from pathlib import Path


def are_locked(results: str | Path, locks: str | Path = ".snakemake/locks") -> bool:
    """Tell whether a run that goes, or was killed, has locked files below a folder of results.

    A lock is a file with a path in each line, below the working folder. Runs of other results do not count.
    """
    folder = Path(results)
    for lock in Path(locks).glob("*.lock"):
        try:
            paths = lock.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:  # its run has just ended
            continue
        if any(Path(path).is_relative_to(folder) for path in paths):
            return True
    return False
