"""Fetch a data set that may be had without a licence click: ``snakemake … fetch_data``.

A broken transfer goes on where it stopped, here and in a later call; the archive is checked before it is unpacked, and
unpacked beside its place before it is moved there.
"""

from __future__ import annotations

import gzip
import json
import lzma
import os
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from fairdream.config.datasets import Download
from fairdream.data.listing import is_leftover
from fairdream.errors import UserError
from fairdream.identity import file_digest
from fairdream.runtime.files import remedy, write_text

BLOCK = 2**20
TIMEOUT = 60  # seconds without a byte
# What an archive raises that is cut off, altered, made to do harm, or locked with a password, or has names or times
# that no file can have; LookupError: a hard link to what is not in it.
DAMAGED = (
    LookupError,
    OSError,
    OverflowError,
    tarfile.TarError,
    zipfile.BadZipFile,
    gzip.BadGzipFile,
    lzma.LZMAError,
    zlib.error,
    EOFError,
    RuntimeError,
    ValueError,
)


def fetch(url: str, target: Path, sha256: str | None, retries: int = 5, pause: float = 2.0) -> str:
    """Download a file to `target`; return its SHA-256.

    Parameters
    ----------
    sha256
        What it must be; ``None``: whatever it is.
    retries
        Attempts after a failed one without a new byte; any progress starts the count anew.
    pause
        Seconds before the first of them, doubled each time.

    Raises
    ------
    UserError
        When it cannot be had, or is not what it must be.
    """
    part = target.with_name(f"{target.name}.part")
    part.parent.mkdir(parents=True, exist_ok=True)
    failed = 0
    while True:
        before = part.stat().st_size if part.exists() else 0
        try:
            _transfer(url, part)
            break
        except (OSError, urllib.error.URLError) as error:
            if isinstance(error, urllib.error.HTTPError) and 400 <= error.code < 500:
                raise UserError(f"{url}: {error}") from None
            after = part.stat().st_size if part.exists() else 0
            failed = 0 if after > before else failed + 1
            if failed > retries:
                raise UserError(f"{url}: {error}; {after} bytes are kept in {part} for the next call") from None
            time.sleep(pause * 2**failed)
    found = file_digest(part)
    if sha256 is not None and found != sha256:
        part.unlink()
        raise UserError(f"{url}: SHA-256 is {found}, expected {sha256}; the file was removed")
    os.replace(part, target)
    return found


def _transfer(url: str, part: Path) -> None:
    """Append what is missing of a file; raise `OSError` when the connection ends before it is whole."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        answer = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        # nothing after the last byte: it is whole
        if have and error.code == 416 and error.headers.get("Content-Range") == f"bytes */{have}":
            return
        raise
    with answer:
        goes_on = answer.status == 206
        length = answer.headers.get("Content-Length")
        total = None if length is None else int(length) + (have if goes_on else 0)
        with open(part, "ab" if goes_on else "wb") as file:
            while block := answer.read(BLOCK):
                file.write(block)
    if total is not None and part.stat().st_size != total:
        raise ConnectionError(f"the connection ended at {part.stat().st_size} of {total} bytes")


def unpack(archive: Path, folder: Path) -> None:
    """Unpack an archive so that `folder` appears whole; the archive has it as its one top folder, or its contents.

    Raises
    ------
    UserError
        When it is no archive, is damaged, or has a member that would be written outside of the folder.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as scratch:
        content = Path(scratch, "content")
        content.mkdir()
        with _reading(archive):
            if zipfile.is_zipfile(archive):
                with _open_zip(archive) as file:
                    _refuse_outside(file.namelist())
                    file.extractall(content)
            elif tarfile.is_tarfile(archive):
                with tarfile.open(archive) as file:
                    # no path or link that leaves the folder, no device; such a member stops it
                    file.extractall(content, filter="data")
            else:
                raise UserError(f"{archive}: neither a tar nor a zip archive; delete it, and look at download.url")
            if not any(content.iterdir()):
                raise EOFError("nothing is in it")
        inner = content / folder.name
        os.replace(inner if inner.is_dir() else content, folder)


def is_archive(file: Path) -> bool:
    """Tell whether a file is a zip or tar archive, if a damaged one."""
    try:
        return zipfile.is_zipfile(file) or tarfile.is_tarfile(file)
    except DAMAGED:
        return True


@contextmanager
def _reading(archive: Path) -> Iterator[None]:
    """Tell of a damaged archive by its name; a disk that is full is no fault of it."""
    try:
        yield
    except DAMAGED as error:
        if remedy(error):
            raise
        raise UserError(
            f"{archive}: is not unpacked: {error}; delete it to fetch it again, and look at download.url"
        ) from None


def is_unpacked(archive: Path, folder: Path) -> bool:
    """Tell whether each file of an archive lies in the folder, in its size: `unpack` put it there before.

    Leftovers of a system may have been removed since.
    """
    with _reading(archive):
        if zipfile.is_zipfile(archive):
            with _open_zip(archive) as file:
                sizes = {info.filename: info.file_size for info in file.infolist() if not info.is_dir()}
        else:
            with tarfile.open(archive) as file:
                sizes = {info.name: info.size for info in file if info.isfile()}
    # as both are unpacked: `tar -czf birds.tgz ./birds` and others write more than the path
    sizes = {PurePosixPath(name.lstrip("/")).as_posix(): size for name, size in sizes.items()}
    top = f"{folder.name}/"
    if any(name.startswith(top) for name in sizes):  # as `unpack` does
        sizes = {name.removeprefix(top): size for name, size in sizes.items() if name.startswith(top)}
    wanted = [(folder / name, size) for name, size in sizes.items() if not any(map(is_leftover, name.split("/")))]
    return all(path.is_file() and path.stat().st_size == size for path, size in wanted)


def _open_zip(archive: Path) -> zipfile.ZipFile:
    """Open a zip archive; names in UTF-8 are read as such also where it does not say so, as macOS writes them."""
    try:
        return zipfile.ZipFile(archive, metadata_encoding="utf-8")
    except UnicodeDecodeError:
        return zipfile.ZipFile(archive)


def _refuse_outside(names: list[str]) -> None:
    """Refuse a zip archive with a path that leaves its folder; zipfile would write it under another name."""
    for name in names:
        parts = name.replace("\\", "/").split("/")
        if name.startswith(("/", "\\")) or ".." in parts:
            raise zipfile.BadZipFile(f"{name!r} would be outside of the folder")


def fetch_dataset(receipt: str, config: dict[str, Any]) -> None:
    """Fetch and unpack a data set where there is none, and write a receipt.

    Parameters
    ----------
    receipt
        Output: a JSON file with `url`, `folder` and the archive's `sha256`, null where the folder stood there already.
    config
        `folder` and `download` of the data set.

    Raises
    ------
    UserError
        When the archive cannot be had, or is not what it must be.
    """
    folder, source = Path(config["folder"]), Download(**config["download"])
    found = None
    if folder.exists():
        print(f"{folder} is there already: nothing is fetched; remove it to fetch it again")
    else:
        archive = folder.with_name(f"{folder.name}.archive")  # an address may end in anything
        found = fetch(source.url, archive, source.sha256)
        unpack(archive, folder)
        archive.unlink()
        print(f"{folder} is there; SHA-256 of its archive: {found}")
        if source.sha256 is None:
            print("No checksum is configured: compare it, and pin it as download.sha256 of the data set.")
    content = {"url": source.url, "folder": str(folder), "sha256": found}
    write_text(receipt, json.dumps(content, indent=2) + "\n")
