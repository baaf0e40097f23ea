"""Writing files so that no half-written one ever stands under its final name.

Snakemake takes what exists for finished, above all behind a checkpoint. So every output is written under a temporary
name in the same folder, synced to the disk and renamed.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Give a temporary path that replaces `path` when the block ends well, and is removed when it does not."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # the ending stays: some writers choose a format by it
    temporary = path.with_name(f".{path.stem}.{secrets.token_hex(4)}{path.suffix}")
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def exclusive(path: str | Path) -> Iterator[None]:
    """Hold a lock that other processes and nodes wait for; it ends with its process, however that ends."""
    from filelock import FileLock

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path):
        yield


@contextmanager
def claim(paths: Iterable[str | Path], most: int) -> Iterator[list[Path]]:
    """Hold those of some locks that are free, at the most so many, without waiting for any; give their paths."""
    from filelock import FileLock, Timeout

    with ExitStack() as held:
        mine: list[Path] = []
        for path in map(Path, paths):
            if len(mine) == most:
                break
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(path)
            try:
                lock.acquire(blocking=False)
            except Timeout:
                continue
            held.callback(lock.release)
            mine.append(path)
        yield mine


def write_text(path: str | Path, text: str) -> None:
    """Write a text file atomically."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_if_changed(path: str | Path, text: str) -> bool:
    """Write a text file atomically unless it already holds this text, so that its time stamp stays; tell if it did."""
    path = Path(path)
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return False
    write_text(path, text)
    return True
