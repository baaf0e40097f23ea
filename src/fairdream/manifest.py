"""The manifest: every file of a data set with its size, time stamp and content hash.

A folder is one time stamp to Snakemake, so an image edited inside it goes unseen. The manifest stands for the content:
`refresh` compares sizes and time stamps at the start of a run, hashes only what differs, and writes the manifest anew
only when content changed. A touched image is no change.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from fairdream.dataset import Source
from fairdream.errors import UserError
from fairdream.files import atomic
from fairdream.identity import file_digest

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff"}


def image_base(folder: Path, paths: Sequence[str]) -> tuple[Path, int]:
    """Return the folder that a table's paths start from, its own or one below it, and how many images were found there.

    Most of the first ones decide: one that is missing shows later, by its name.
    """
    first, found = paths[:20], {}
    for bases in (iter([folder]), folder.glob("*/"), folder.glob("*/*/")):
        for base in sorted(bases):
            if not any(part.startswith(".") for part in base.relative_to(folder).parts):
                found[base] = sum(os.path.isfile(base / path) for path in first)  # False where it may not be read
        if max(found.values()) == len(first):
            break
    return max(found.items(), key=lambda own: own[1])


def missing_data(config: Source) -> list[str]:
    """Return what of the data set is not there: its folder, or tables in it."""
    folder = Path(config.folder)
    if not folder.is_dir():
        return [str(folder)]
    return [str(folder / table.file) for table in config.tables if not (folder / table.file).is_file()]


def was_read(index: Path, config: Source) -> bool:
    """Return whether an index is there, of images in the data set's folder."""
    if not index.is_file():
        return False
    import pyarrow.parquet as pq

    folders = pq.read_table(index, columns=["folder"])["folder"].unique().to_pylist()
    return folders == [config.folder]


def write_manifest(manifest: str, config: Source) -> None:
    """Write the manifest of a data set's tables and images.

    Raises
    ------
    UserError
        When the folder or a table is missing.
    """
    missing = missing_data(config)
    if missing:
        raise UserError(f"{', '.join(missing)}: not found")
    _write(_scan(config, {}), manifest)


def refresh(manifest: str | Path, config: Source) -> bool:
    """Rewrite an existing manifest if content changed since; tell whether it did."""
    if not Path(manifest).is_file() or missing_data(config):
        return False
    import pyarrow.parquet as pq

    try:
        known = {row["path"]: row for row in pq.read_table(manifest).to_pylist()}
    except (OSError, ValueError):
        known = {}  # a damaged one is made anew
    rows = _scan(config, known)
    if {row["path"]: row["sha256"] for row in rows} == {path: row["sha256"] for path, row in known.items()}:
        return False
    _write(rows, manifest)
    return True


def _scan(config: Source, known: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    folder = Path(config.folder)
    rows, strange = [], []
    for path in _files(folder, config):
        name = path.relative_to(folder).as_posix()
        try:
            found = path.stat()
            if not stat.S_ISREG(found.st_mode):
                continue  # a pipe would be waited for without end
            name.encode()
            old = known.get(name)
            same = old is not None and (old["size"], old["mtime_ns"]) == (found.st_size, found.st_mtime_ns)
            sha256 = old["sha256"] if old and same else file_digest(path)
        except UnicodeEncodeError:
            strange.append(os.fsencode(name))
            continue
        except PermissionError as error:
            raise UserError(f"{path}: {error.strerror}; make it readable (chmod)") from None
        except OSError:
            continue  # a link that leads nowhere or to itself: told by the index, if a table names it
        rows.append({"path": name, "size": found.st_size, "mtime_ns": found.st_mtime_ns, "sha256": sha256})
    if strange:
        raise UserError(
            f"{folder}: {len(strange)} file(s) whose name is not UTF-8, first {min(strange)!r}; rename them "
            "(`convmv -f latin1 -t utf8 -r --notest FOLDER`, if they come from an old system)"
        )
    return sorted(rows, key=lambda row: row["path"])


def _files(folder: Path, config: Source) -> Iterator[Path]:
    for table in config.tables:
        yield folder / table.file
    # os.walk does not follow links to folders, so a loop of links ends
    for parent, _, names in os.walk(folder / config.images):
        for name in names:
            if Path(name).suffix.lower() in IMAGE_SUFFIXES:
                yield Path(parent, name)


def _write(rows: list[dict[str, Any]], manifest: str | Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = [("path", pa.string()), ("size", pa.int64()), ("mtime_ns", pa.int64()), ("sha256", pa.string())]
    with atomic(manifest) as path:
        pq.write_table(pa.Table.from_pylist(rows, schema=pa.schema(columns)), path)
