"""One table, read as a run will read it, or refused: pandas would take much for a table without a word.

What is meant for certain is mended (blanks around cells, rows without anything): `Read.changes` says what, and the
caller writes a table of FairDream's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairdream.cli.new_dataset.columns import MOST_VALUES
from fairdream.cli.new_dataset.nested import nested_columns, unnested
from fairdream.cli.new_dataset.parquet import class_name, class_names
from fairdream.data.listing import suffix_of
from fairdream.data.table_files import SEPARATORS, as_text, header_of, read_table
from fairdream.errors import UserError

if TYPE_CHECKING:
    import pandas as pd


FOLDERS_SAY = "folders say"  # the source of what class folders say


@dataclass
class Read:
    """A table of text.

    Attributes
    ----------
    file
        What messages call it.
    table
        Its cells; columns of lists and of bytes are not among them.
    original
        The table as a run would read this file; ``None`` where it is none that a run could read, or several.
    changes
        What `table` has otherwise, in words.
    nested
        Columns whose cells are lists or the like.
    path
        The column with the images' paths from the data set's folder, where that is known.
    source
        What says a split or none, with its verb.
    files
        The tables that were read, where `file` is their folder.
    """

    file: Path
    table: pd.DataFrame
    original: pd.DataFrame | None = None
    changes: list[str] = field(default_factory=list)
    nested: list[str] = field(default_factory=list)
    path: str | None = None
    source: str = "table has"
    files: Sequence[Path] = ()


def read(file: Path) -> Read:
    """Read a table.

    Raises
    ------
    UserError
        When it cannot be read, or not without a doubt (`fairdream.data.table_files`), or has two columns of one name.
    """
    raw = read_table(file)
    if suffix_of(file.name) in SEPARATORS:
        _check_doubled(file, header_of(file))
    _check_doubled(file, list(raw.columns))
    original = raw.drop(columns=nested_columns(raw)).apply(as_text)
    raw, nested = unnested(raw)
    text = [str(name) for name in raw if name not in original]
    # a row's number, as pandas writes it, is no property of an image
    numbers = [name for name in raw if not str(name).strip() or str(name).startswith("Unnamed: ")]
    table = raw.drop(columns=numbers)
    found = Read(
        file,
        table.set_axis([str(name).strip() for name in table], axis=1),
        original,
        [f"with {', '.join(text)} as text"] if text else [],
        nested,
    )
    if suffix_of(file.name) == ".parquet":
        _name_classes(found)
    return as_cells(found)


def as_cells(found: Read) -> Read:
    """Write a table's cells as text, whatever their types, without blanks around them, and without rows of nothing."""
    found.table = found.table.apply(as_text)
    _strip(found.table)
    empty = (found.table == "").all(axis=1)
    if empty.any():
        found.table = found.table[~empty].reset_index(drop=True)
        found.changes.append(f"without {empty.sum()} row(s) of nothing")
    if found.table.empty:
        raise UserError(f"{found.file}: it has no rows")
    return found


def _check_doubled(file: Path, names: list[Any]) -> None:
    """Stop where two columns have one name: pandas would rename one of them."""
    bare = [str(name).strip() for name in names if str(name).strip()]
    if doubled := sorted({name for name in bare if bare.count(name) > 1}):
        raise UserError(f"{file}: two columns are called {', '.join(map(repr, doubled))}; rename one of them")


def _name_classes(found: Read) -> None:
    """Write the names of `ClassLabel` columns for their numbers."""
    import pandas as pd

    for name, names in class_names(found.file).items():
        if name in found.table:
            own = [class_name(value, names, name, found.file) for value in found.table[name]]
            found.table[name] = pd.Series(own, dtype=object)
            found.changes.append(f"with the names of the classes of {name}")


def _strip(table: pd.DataFrame) -> None:
    """Take away blanks around cells, but where two classes would become one: `named_values` asks about them."""
    for name in table:
        bare = table[name].str.strip()
        filled = bare != ""
        if bare[filled].nunique() == table.loc[filled, name].nunique() or bare.nunique() > MOST_VALUES:
            table[name] = bare
