"""Writing files so that no half-written one ever stands under its final name.

Snakemake takes what exists for finished, above all behind a checkpoint. So every output is written under a temporary
name in the same folder, synced to the disk and renamed.
"""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import struct
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
    if path.is_file() and path.read_bytes() == text.encode("utf-8"):
        return False
    write_text(path, text)
    return True


# What to do about an error of the operating system, as Python and the libraries below it tell its number.
REMEDIES = {
    errno.ENOSPC: "free space, or put `results` on another disk",
    errno.EDQUOT: "free space of your quota, or put `results` on another disk",
    errno.EROFS: "put `results` on a disk that can be written",
    errno.EACCES: "give yourself the permission (chmod, chown), or choose another folder",
    errno.EPERM: "give yourself the permission (chmod, chown), or choose another folder",
}


def remedy(error: BaseException) -> str | None:
    """Return an error of the disk with what to do about it; ``None`` for any other error."""
    number = re.search(r"(?:errno|os error) (\d+)", str(error), re.IGNORECASE)
    advice = REMEDIES.get(int(number[1])) if number else None
    return advice and f"{error}: {advice}, then start again; what is finished is kept"


def check_whole(paths: Iterable[str | Path]) -> None:
    """Look at the ends of Parquet and safetensors files, and at JSON files, before a job loads anything heavy.

    Raises
    ------
    UserError
        When one is empty, cut off, or something else: by a full disk, an interrupted copy or an edit.
    """
    for path in map(Path, paths):
        problem = _problem(path)
        if problem:
            raise UserError(f"{path}: damaged ({problem}); delete it and start again, it is recreated")


def is_whole(path: str | Path) -> bool:
    """Tell whether a file is there and not cut off, as `check_whole` does."""
    path = Path(path)
    return path.is_file() and not _problem(path)


def _problem(path: Path) -> str | None:
    """Return what is wrong with a file, as far as its ends and its size tell."""
    if path.suffix not in (".parquet", ".safetensors", ".json") or not path.is_file():
        return None
    size = path.stat().st_size
    if size == 0:
        return "it is empty"
    with open(path, "rb") as file:
        try:
            if path.suffix == ".json":
                json.load(file)
            elif path.suffix == ".parquet":
                begin = file.read(4)
                file.seek(-8, os.SEEK_END)
                length, end = struct.unpack("<I4s", file.read(8))
                if begin != b"PAR1" or end != b"PAR1" or length + 12 > size:
                    return "it is no whole Parquet file"
            else:
                (length,) = struct.unpack("<Q", file.read(8))
                header = json.loads(file.read(min(length, size)))
                places = [own["data_offsets"] for name, own in header.items() if name != "__metadata__"]
                stop = max((stop for _, stop in places), default=0)
                if not all(type(start) is type(end) is int and 0 <= start <= end for start, end in places):
                    return "the place of a tensor in it is none"
                if 8 + length + stop != size:
                    return f"it has {size} bytes of {8 + length + stop}"
        except (ValueError, TypeError, KeyError, AttributeError, struct.error, OSError) as error:
            return f"it is no {path.suffix[1:]} file: {error}"
    return None
