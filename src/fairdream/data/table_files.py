"""Tables as files: CSV, TSV, JSON Lines, Parquet and CelebA's text, read alike by everyone, or refused.

pandas would take much for a table without a word: one with semicolons has a single column, and where a row has a cell
more than the first line has names, all cells stand one column further to the left.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING

from fairdream.data.listing import suffix_of
from fairdream.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

SEPARATORS = {".csv": ",", ".tsv": "\t"}


def as_text(column: pd.Series) -> pd.Series:
    """Return a column as text, nothing for a missing value, whatever type a Parquet file gives it."""

    def text(value: object) -> str:
        # whole numbers of which some are missing are read as floats
        return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)

    return column.astype(object).where(column.notna(), "").map(text)


def read_table(file: Path) -> pd.DataFrame:
    """Return a CSV, TSV, JSON Lines or Parquet file, or a text file of CelebA, as a table; text of text files.

    Raises
    ------
    UserError
        When it cannot be read, or not without a doubt: rows wider than the header, another mark between the cells.
    """
    import pandas as pd

    try:
        suffix = suffix_of(file.name)
        if suffix == ".parquet":
            return _read_parquet(file)
        if suffix == ".jsonl":
            return _read_json_lines(file)
        if suffix == ".txt":
            return _read_celeba(file)
        separator = SEPARATORS.get(suffix, ",")
        table = pd.read_csv(file, sep=separator, dtype=str, keep_default_na=False)
        _check_marks(file, table, separator)
        return table
    except (OSError, ValueError, csv.Error) as error:
        hint = "; save it as UTF-8" if isinstance(error, UnicodeDecodeError) else ""
        raise UserError(f"{file}: cannot be read as a table: {error}{hint}") from None


def header_of(file: Path) -> list[str]:
    """Return the first line of a CSV or TSV file: pandas renames a column whose name stands twice."""
    with file.open(encoding="utf-8-sig", newline="") as lines:
        return next(csv.reader(lines, delimiter=SEPARATORS.get(suffix_of(file.name), ",")), [])


def _check_marks(file: Path, table: pd.DataFrame, separator: str) -> None:
    """Stop where a text table is not what pandas takes it for."""
    import pandas as pd

    header = header_of(file)
    first = separator.join(header)
    if first.lower().startswith("sep="):
        raise UserError(f"{file}: its first line is {first!r}, which Excel alone understands; save it without")
    if len(header) == 1 and (other := next((mark for mark in ";\t|," if mark != separator and mark in first), None)):
        ought = "tabs" if separator == "\t" else "commas"
        raise UserError(f"{file}: it has one column, {first!r}, as it is written with {other!r}; save it with {ought}")
    if not isinstance(table.index, pd.RangeIndex):
        raise UserError(
            f"{file}: its rows have more cells than its first line has names ({', '.join(header)}); name each column, "
            "or remove the marks at the ends of the rows"
        )


def _read_json_lines(file: Path) -> pd.DataFrame:
    """Read a JSON object a line as it stands: pandas takes some names of columns for dates, and rounds long numbers."""
    import pandas as pd

    rows = []
    with file.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                if "\\u" in line:
                    json.dumps(row, ensure_ascii=False).encode()  # half of a character cannot be written
            except (ValueError, RecursionError) as error:
                raise ValueError(f"line {number}: {error}") from None
            if not isinstance(row, dict):
                raise ValueError(f'line {number} is no object; write one a line, {{"column": value}}')
            rows.append(row)
    return pd.DataFrame(rows, dtype=object)


def _read_parquet(file: Path) -> pd.DataFrame:
    """Read a Parquet file: an index that pandas stored in it is a column if it has a name, and nothing otherwise.

    Its labels are no numbers of rows: frames that were filtered, shuffled or joined have some twice, or in any order.
    """
    import pandas as pd

    try:
        table = pd.read_parquet(file)
    except Exception as error:  # a decoder raises whatever a broken file leads it to
        raise ValueError(error) from None
    named = [level for level, name in enumerate(table.index.names) if name is not None and name not in table]
    if named:
        table = table.reset_index(named)
    return table.reset_index(drop=True)


def _read_celeba(file: Path) -> pd.DataFrame:
    """Read CelebA's own text form: the number of images, names of columns, rows; the partition has rows alone."""
    import pandas as pd

    lines = file.read_text(encoding="utf-8-sig").splitlines()
    if len(lines) < 2:
        raise ValueError("it has no rows")
    if lines[0].strip().isdigit():
        columns, rows = ["image_id", *lines[1].split()], lines[2:]
        if len(rows) != int(lines[0]):
            raise ValueError(f"it says {lines[0].strip()} images and has {len(rows)}")
    else:
        columns, rows = ["image_id", "partition"], lines
    cells = [row.split() for row in rows]
    wrong = next((number for number, row in enumerate(cells) if len(row) != len(columns)), None)
    if wrong is not None:
        line = wrong + 1 + len(lines) - len(rows)
        raise ValueError(f"line {line} has {len(cells[wrong])} values instead of {len(columns)}")
    table = pd.DataFrame(cells, columns=columns)
    table.attrs["first_row"] = 1 + len(lines) - len(rows)
    return table
