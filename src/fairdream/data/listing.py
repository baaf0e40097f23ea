"""What lies in a user's folder: the one walk that every reader of a data set takes, and what it passes over.

Notable choices:

- An image is known by its ending, in any case; formats that the project does not read are counted, never opened.
- Links to folders are followed, also out of the data set; a loop of them is refused.
- Hidden names and what systems leave behind (``._00.png``, ``__MACOSX``, ``Thumbs.db``) are nobody's images.
- A name is the same in every Unicode form: macOS writes ``é`` as two characters, a table most often as one.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from fairdream.errors import UserError

# JPEG has many names: .jfif is what a browser saves, .mpo what a camera with two lenses does.
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff"})
TABLE_SUFFIXES = frozenset({".csv", ".tsv", ".jsonl", ".parquet"})
ARCHIVES = frozenset({".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".7z", ".rar"})
# In lower case, besides names that begin with a dot: of macOS, Windows and Linux, and of storage systems (Synology,
# QNAP, NetApp), which keep recycle bins, snapshots and small copies.
LEFTOVERS = {
    "__macosx",
    "@eadir",
    "@recently-snapshot",
    "@recycle",
    "@tmp",
    "#recycle",
    "#snapshot",
    "~snapshot",
    "$recycle.bin",
    "desktop.ini",
    "ehthumbs.db",
    "lost+found",
    "system volume information",
    "thumbs.db",
}
MOST_KINDS = 10  # that are told one by one
LONGEST_NAME = 255  # bytes, on every usual file system
LONGEST_SHOWN = 80  # characters of a cell
BROKEN_LINK = "a link that leads nowhere, or to itself"


@dataclass
class Listing:
    """What a walk through a folder found; paths are relative to it, with ``/``."""

    folder: Path
    files: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    passed_over: Counter[str] = field(default_factory=Counter)  # by ending, or by the name of a leftover

    def told(self) -> list[str]:
        """Return in words what was passed over, if anything was, and which links lead nowhere."""
        notes = []
        if self.passed_over:
            ranked = sorted(self.passed_over.items(), key=lambda own: (-own[1], own[0]))
            kinds = [f"{count} {kind}" for kind, count in ranked[:MOST_KINDS]]
            if rest := sum(count for _, count in ranked[MOST_KINDS:]):
                kinds.append(f"{rest} of other kinds")
            notes.append(f"{self.folder}: passed over, as no images: {', '.join(kinds)}")
        if self.broken:
            notes.append(f"{self.folder}: {len(self.broken)} broken link(s), first {self.broken[0]}: {BROKEN_LINK}")
        return notes


def list_files(
    folder: Path, suffixes: Collection[str] = IMAGE_SUFFIXES, without_folders: Collection[str] = ()
) -> Listing:
    """Return the files below a folder that have one of the endings, sorted as their paths are.

    Parameters
    ----------
    suffixes
        Endings in lower case, with their dot.
    without_folders
        Names of folders that are left out, wherever they lie.

    Raises
    ------
    UserError
        When a folder may not be read, or a link leads back to a folder that it lies in.
    """
    found = Listing(Path(folder))
    if found.folder.is_dir():
        _walk(found, "", (), suffixes, without_folders)
    return found


def _walk(
    found: Listing, below: str, crossed: tuple[str, ...], suffixes: Collection[str], without_folders: Collection[str]
) -> None:
    """Add what lies below one folder; `crossed` are the real paths of the folders whose links led here."""
    here = os.path.join(found.folder, below)
    for entry in _entries(here):
        name = f"{below}{entry.name}"
        try:
            is_folder, is_file = entry.is_dir(), entry.is_file()
        except OSError:
            is_folder = is_file = False  # a link to itself
        if is_leftover(entry.name):
            found.passed_over[_kind(entry.name, is_folder)] += 1
        elif is_folder:
            if entry.name not in without_folders:
                found.folders.append(name)
                passed = _cross(entry, here, crossed) if entry.is_symlink() else crossed
                _walk(found, f"{name}/", passed, suffixes, without_folders)
        elif is_file:
            suffix = suffix_of(name)
            if suffix in suffixes:
                found.files.append(name)
            elif suffix not in TABLE_SUFFIXES:
                found.passed_over[suffix or "without an ending"] += 1
        elif entry.is_symlink():
            found.broken.append(name)
        else:
            found.passed_over["pipes or the like"] += 1


def _cross(link: os.DirEntry[str], here: str, crossed: tuple[str, ...]) -> tuple[str, ...]:
    """Return the folders whose links led behind one more link to a folder; refuse one that leads back."""
    crossed = (*crossed, os.path.realpath(here))
    target = os.path.realpath(link.path)
    if any(os.path.commonpath([target, folder]) == target for folder in crossed):
        raise UserError(f"{link.path}: a loop: this link leads to {target}, in which it lies; remove it")
    return crossed


def _entries(folder: str | Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise UserError(f"{folder}: {error.strerror}; make it readable (chmod)") from None


def _kind(name: str, is_folder: bool) -> str:
    """Return what a leftover is counted by."""
    if name.startswith("._"):
        return "._*"
    return f"{name}/" if is_folder else name


def is_leftover(name: str) -> bool:
    """Tell whether a file or folder is hidden, or left behind by a system."""
    return name.startswith(".") or name.lower() in LEFTOVERS


def suffix_of(name: str) -> str:
    """Return a name's ending in lower case, with its dot."""
    return os.path.splitext(name)[1].lower()


def visible(folder: Path) -> list[Path]:
    """Return what lies in a folder itself, leftovers aside, sorted."""
    return [Path(folder, entry.name) for entry in _entries(folder) if not is_leftover(entry.name)]


def tables(folder: Path) -> list[Path]:
    """Return the tables in a folder itself."""
    return [path for path in visible(folder) if suffix_of(path.name) in TABLE_SUFFIXES and path.is_file()]


def subfolders(folder: Path) -> list[Path]:
    """Return the folders in a folder itself; none where it may not be read."""
    try:
        return [path for path in visible(folder) if path.is_dir()]
    except UserError:
        return []


def why_passed_over(path: str) -> str | None:
    """Return why a walk leaves a file out, if it does."""
    for part in path.split("/"):
        if is_leftover(part) and part not in (".", ".."):
            return f"{part} is hidden or a leftover of a system"
    if suffix_of(path) not in IMAGE_SUFFIXES:
        return f"the names of images end in {', '.join(sorted(IMAGE_SUFFIXES))}"
    return None


def why_no_path(cell: str) -> str | None:
    """Return why a table's cell can name no file, if it cannot: asking the system for one would be an error."""
    shown = cell if len(cell) <= LONGEST_SHOWN else f"{cell[:LONGEST_SHOWN]}…"
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://|data:", cell):
        return f"{shown!r} is an address, and images are not fetched; download them, and write their paths"
    if "\0" in cell:
        return f"{shown!r} has a null character in it, which no name of a file has"
    longest = max(len(part.encode(errors="replace")) for part in cell.split("/"))
    if longest > LONGEST_NAME:
        return f"{shown!r} has a name of {longest} bytes, and a file's has {LONGEST_NAME} at most; is it a path at all?"
    return None


def check_names(folder: Path, names: Iterable[str]) -> None:
    """Refuse names that no table can hold.

    Raises
    ------
    UserError
        When some are not UTF-8; with their number and the first.
    """
    strange = [os.fsencode(name) for name in names if not is_utf8(name)]
    if strange:
        raise UserError(
            f"{folder}: {len(strange)} file(s) whose name is not UTF-8, first {min(strange)!r}; rename them "
            "(`convmv -f latin1 -t utf8 -r --notest FOLDER`, if they come from an old system)"
        )


def is_utf8(name: str) -> bool:
    """Tell whether a name, as the system gives it, is UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def one_form(name: str) -> str:
    """Return a name in the one Unicode form that names are compared in."""
    return unicodedata.normalize("NFC", name)


def as_on_disk(base: Path, paths: Iterable[str]) -> Iterator[str | None]:
    """Yield each file's path below `base` as it is written there, in whatever Unicode form; ``None``: no such file.

    A path that fits two files in other forms than its own is none of them.
    """
    known: dict[str, dict[str, list[str]]] = {}

    def spelled(folder: str, part: str) -> str | None:
        if folder not in known:
            known[folder] = {}
            names = os.listdir(folder) if os.path.isdir(folder) and os.access(folder, os.R_OK) else []
            for name in names:
                known[folder].setdefault(one_form(name), []).append(name)
        there = known[folder].get(one_form(part), [])
        return part if part in there else there[0] if len(there) == 1 else None

    for path in paths:
        if os.path.isfile(os.path.join(base, path)):  # False where it may not be read
            yield path
        elif path.isascii():
            yield None
        else:
            below = ""
            for part in path.split("/"):
                own = spelled(os.path.join(base, below), part)
                if own is None:
                    break
                below = os.path.join(below, own)
            yield below if own is not None and os.path.isfile(os.path.join(base, below)) else None
