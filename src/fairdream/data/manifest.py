"""The manifest: every file of a data set with its size, time stamp and content hash.

A folder is one time stamp to Snakemake, so an image edited inside it goes unseen. The manifest stands for the content:
`refresh` compares sizes and time stamps at the start of a run, hashes only what differs, and writes the manifest anew
only when content changed. A touched image is no change.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path, PurePosixPath
from typing import Any

from fairdream.config.datasets import Source
from fairdream.data.listing import Listing, check_names, list_files
from fairdream.errors import UserError
from fairdream.identity import file_digest
from fairdream.runtime.files import atomic
from fairdream.runtime.job import LOGGER


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
    """Write the manifest of a data set's tables and images; log what lies there and is passed over.

    Raises
    ------
    UserError
        When the folder or a table is missing, or a file or folder cannot be read.
    """
    missing = missing_data(config)
    if missing:
        raise UserError(f"{', '.join(missing)}: not found")
    images = _images(config)
    for told in images.told():
        LOGGER.info("%s", told)
    _write(_scan(config, images, {}), manifest)


def refresh(manifest: str | Path, config: Source) -> bool:
    """Rewrite an existing manifest if content changed since; tell whether it did."""
    if not Path(manifest).is_file() or missing_data(config):
        return False
    import pyarrow.parquet as pq

    try:
        known = {row["path"]: row for row in pq.read_table(manifest).to_pylist()}
    except (OSError, ValueError):
        known = {}  # a damaged one is made anew
    rows = _scan(config, _images(config), known)
    if {row["path"]: row["sha256"] for row in rows} == {path: row["sha256"] for path, row in known.items()}:
        return False
    _write(rows, manifest)
    return True


def _images(config: Source) -> Listing:
    return list_files(Path(config.folder, config.images))


def _scan(config: Source, images: Listing, known: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    folder, below = Path(config.folder), PurePosixPath(config.images)
    names = [PurePosixPath(table.file).as_posix() for table in config.tables]
    names += [(below / name).as_posix() for name in images.files]
    check_names(folder, names)
    rows = []
    for name in names:
        path = os.path.join(folder, name)
        try:
            found = os.stat(path)
            if not stat.S_ISREG(found.st_mode):
                continue  # a pipe would be waited for without end
            old = known.get(name)
            same = old is not None and (old["size"], old["mtime_ns"]) == (found.st_size, found.st_mtime_ns)
            sha256 = old["sha256"] if old and same else file_digest(folder / name)
        except PermissionError as error:
            raise UserError(f"{path}: {error.strerror}; make it readable (chmod)") from None
        except OSError:
            continue  # gone since it was listed
        rows.append({"path": name, "size": found.st_size, "mtime_ns": found.st_mtime_ns, "sha256": sha256})
    return sorted(rows, key=lambda row: row["path"])


def _write(rows: list[dict[str, Any]], manifest: str | Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = [("path", pa.string()), ("size", pa.int64()), ("mtime_ns", pa.int64()), ("sha256", pa.string())]
    with atomic(manifest) as path:
        pq.write_table(pa.Table.from_pylist(rows, schema=pa.schema(columns)), path)
