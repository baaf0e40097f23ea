"""Writing files so that no half-written one ever stands under its final name.

Snakemake takes what exists for finished, above all behind a checkpoint. So every output is written under a temporary
name in the same folder, synced to the disk and renamed.
"""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from fairdream.errors import UserError

if TYPE_CHECKING:
    from filelock import BaseFileLock


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
    with _lock(Path(path)):
        yield


@contextmanager
def claim(paths: Iterable[str | Path], most: int) -> Iterator[list[Path]]:
    """Hold those of some locks that are free, at the most so many, without waiting for any; give their paths."""
    from filelock import Timeout

    with ExitStack() as held:
        mine: list[Path] = []
        for path in map(Path, paths):
            if len(mine) == most:
                break
            lock = _lock(path)
            try:
                lock.acquire(blocking=False)
            except Timeout:
                continue
            held.callback(lock.release)
            mine.append(path)
        yield mine


def check_locks(folder: Path) -> None:
    """Try a lock in a folder.

    Raises
    ------
    UserError
        When its file system has none, or the folder cannot be written.
    """
    try:
        with exclusive(folder / "probe.lock"):
            pass
    except (OSError, NotImplementedError) as error:
        if getattr(error, "errno", None) not in (None, errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP):
            raise UserError(f"{folder}: cannot be written: {error}") from None
        raise UserError(
            f"{folder}: its file system has no locks between processes (flock): {error}. Two jobs could train the same "
            "adapter. Put `results` on one that has, such as NFS 4, GPFS, or Lustre mounted with `flock`."
        ) from None


def _lock(path: Path) -> BaseFileLock:
    """Return a lock of the kernel's; filelock's own way out, a marker file, would outlive a killed job."""
    from filelock import FileLock

    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(path, fallback_to_soft=False)


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
