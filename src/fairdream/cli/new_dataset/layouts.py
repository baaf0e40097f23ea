"""Where a data set of one's own lies, and the table that is written there.

What a run reads is always one table beside the images. Where none says all that for itself, ``fairdream.csv`` is
written into the data set's folder, after any images are unpacked; from then on the manifest tracks it and the images
like any other. Nothing that was there is changed or removed.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING

from fairdream.cli.new_dataset.split_words import split_of
from fairdream.data.download import is_archive, is_unpacked, unpack
from fairdream.data.listing import suffix_of, visible
from fairdream.data.table_files import as_text
from fairdream.errors import UserError
from fairdream.runtime.files import atomic

if TYPE_CHECKING:
    import pandas as pd

DOCUMENTS = {"", ".bib", ".cff", ".html", ".json", ".md", ".pdf", ".py", ".rst", ".txt", ".yaml", ".yml"}
OWN_TABLE = "fairdream.csv"
INFERRED_TABLE = "fairdream.{way}.csv"


def is_own(table: Path) -> bool:
    """Tell whether a table was written by FairDream: what it made of others, or what it inferred."""
    return table.name == OWN_TABLE or any(table.name == INFERRED_TABLE.format(way=way) for way in ("words", "xrm"))


def find_folder(name: str, asked: Path | None) -> Path | None:
    """Return the data set's folder; unpack an archive to ``data/NAME`` first. ``None``: no data yet, and none named.

    Raises
    ------
    UserError
        When the folder named is not there; names the one that is called alike.
    """
    folder = asked or Path("data", name)
    if folder.is_file():
        if not is_archive(folder):
            raise UserError(
                f"--folder {folder}: no folder, nor a zip or tar of one; did you mean --folder {folder.parent}?"
            )
        target = Path("data", name)
        if not target.exists():
            unpack(folder, target)
            print(f"{folder}: unpacked into {target}")
        elif not is_unpacked(folder, target):
            raise UserError(f"{target} is there already: give it as --folder, or remove it to unpack {folder} again")
        folder = target
    if not folder.is_dir():
        parent = folder.parent
        there = sorted(path.name for path in parent.iterdir()) if parent.is_dir() else []
        near = difflib.get_close_matches(folder.name, there, 1)
        if asked is None and not near:
            return None
        hint = f"did you mean {parent / near[0]}?" if near else "say where the images are with --folder"
        raise UserError(f"{folder}: no such folder or archive; {hint}")
    return _unwrapped(folder)


def _unwrapped(folder: Path) -> Path:
    """Return the one folder in a folder, as an unpacked archive has it; the folder itself where it has more.

    What is written about a data set may lie beside it. Not one of a split; and not one with Parquet, which may hold
    images of Hugging Face, whose paths start further up.
    """
    inner = [path for path in visible(folder) if path.is_dir() or suffix_of(path.name) not in DOCUMENTS]
    if len(inner) != 1 or not inner[0].is_dir() or split_of(inner[0].name):
        return folder
    return folder if any(suffix_of(path.name) == ".parquet" for path in visible(inner[0])) else inner[0]


def write_table(folder: Path, table: pd.DataFrame) -> str:
    """Write ``fairdream.csv`` into the folder and return its name."""
    try:
        with atomic(folder / OWN_TABLE) as path:
            table.apply(as_text).to_csv(path, index=False, lineterminator="\n")
    except OSError as error:
        raise UserError(f"{folder}: cannot be written ({error.strerror}); copy the data set where it can") from None
    return OWN_TABLE
