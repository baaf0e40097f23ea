"""Tables as people, spreadsheets and scripts leave them: a good one, some edits, a form of file, and damage."""

import json
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from fuzzing import DAMAGE, damaged, some
from hypothesis import strategies as st

ROWS = [
    {"path": f"{label[0]}{attribute[0]}{number}.png", "label": label, "attribute": attribute, "split": split}
    for label in ("cat", "dog")
    for attribute in ("grass", "snow")
    for number, split in enumerate(("train", "train", "test"))
]
NAMES = list(ROWS[0])

TEXTS = [
    *("", " ", "nan", "None", "NULL", "0", "1", "2", "01", "1.0", "-1", "1e5", "true", "No", "train"),
    *("val", "Test ", "fold1"),
    *("cat", "Cat", "cat ", "dog", "dog_2", "dog~", "unknown", "grass", "snow", "cs0.png", "cg0.png", "images/cg0.png"),
    *("a,b", 'say "x"', '"', "line\nbreak", "tab\tbed", "é", "e\u0301", "😀", "\u202e", "\0", "\x1b[0m"),
    *("\ufeff", "\xa0"),
    *("../cg0.png", "/etc/passwd", "C:\\data\\cg0.png", "./cg0.png", "a//b.png", ".hidden.png", "~/a.png", ".", "/"),
    *("https://host/a.png", "data:image/png;base64,AA", "=1+1", "{label}", "a: b", "- a", "#", "a" * 300, "a/" * 3000),
]
VALUES = [
    *(None, 0, 1, -1, 1.0, 0.5, True, False, 2**53 + 1, 2**70, float("nan"), float("inf"), -0.0, [], ["cat"], [1, [2]]),
    *({"a": 1}, {"bytes": None, "path": None}, "\ud800", b"cat", b"\xff", pd.Timestamp("2024-01-31"), 1 << 62),
]
CELLS = st.sampled_from(TEXTS) | st.sampled_from(VALUES) | st.text(max_size=4)
SEVERAL = st.lists(CELLS, min_size=1, max_size=4)
CODES = st.sampled_from([[0, 1, 2], ["0", "1"], [True, False], ["yes", "no"], [1.0, 2.0], ["é", "e\u0301"], ["a", "A"]])
HEADS = [
    *(*NAMES, "Label", "PATH", " label", "y", "image", "file_name", "is_test", "fold", "Unnamed: 0"),
    *("", " ", "a\nb", "0"),
]
HEAD = st.sampled_from(HEADS) | st.text(max_size=3)
ROW, COLUMN = st.integers(0, len(ROWS) - 1), st.integers(0, len(NAMES) - 1)

# What is done to a table, by its name in `edited`.
EDITS = some(
    st.tuples(st.just("cell"), ROW, COLUMN, CELLS),
    st.tuples(st.just("code"), st.integers(1, 3), CODES | SEVERAL),
    st.tuples(st.just("add"), HEAD, SEVERAL),
    st.tuples(st.just("rename"), COLUMN, HEAD),
    st.tuples(st.just("drop"), COLUMN),
    st.tuples(st.just("shorten"), ROW),
    st.tuples(st.just("twice"), ROW),
    st.tuples(st.just("keep"), st.integers(0, 2)),
    st.tuples(st.just("blanks"), COLUMN, st.sampled_from([" ", "\t", "\xa0", "'", "./", "images/", "data/images/"])),
    st.tuples(st.just("turn")),
)


class Table(NamedTuple):
    """Names of columns, and rows of cells: of any number, as edits leave them."""

    names: list[str]
    rows: list[list[Any]]


def edited(edits: list[tuple]) -> Table:
    """Return the good table after some edits."""
    names, rows = list(NAMES), [list(row.values()) for row in ROWS]
    for kind, *how in edits:
        at = how[0] if how and isinstance(how[0], int) else 0
        if kind == "keep":
            rows = rows[:at]
        elif kind == "add":
            names, rows = [*names, how[0]], [[*row, how[1][number % len(how[1])]] for number, row in enumerate(rows)]
        elif kind == "turn":
            names, rows = names[::-1], [row[::-1] for row in rows]
        elif kind in ("shorten", "twice") and at < len(rows):
            rows = [*rows[:at], rows[at][:-1], *rows[at + 1 :]] if kind == "shorten" else [*rows, list(rows[at])]
        elif kind == "cell" and at < len(rows) and how[1] < len(rows[at]):
            rows[at][how[1]] = how[2]
        elif kind == "rename" and at < len(names):
            names[at] = how[1]
        elif kind == "drop":
            names, rows = names[:at] + names[at + 1 :], [row[:at] + row[at + 1 :] for row in rows]
        elif kind == "code":
            rows = _coded(rows, at, how[1])
        elif kind == "blanks":
            rows = [[f"{how[1]}{cell}" if number == at else cell for number, cell in enumerate(row)] for row in rows]
    return Table(names, rows)


def _coded(rows: list[list], at: int, values: list) -> list[list]:
    """Return rows with other values in one column, each of its own as one of the new ones."""
    known = list(dict.fromkeys(repr(row[at]) for row in rows if at < len(row)))
    return [
        [*row[:at], values[known.index(repr(row[at])) % len(values)], *row[at + 1 :]] if at < len(row) else row
        for row in rows
    ]


def as_cell(cell: Any) -> str:
    return "" if cell is None else str(cell)


def text(table: Table, mark: str, quoted: bool, end: str) -> str:
    def line(cells: list) -> str:
        return mark.join(f'"{cell.replace(chr(34), 2 * chr(34))}"' if quoted else cell for cell in map(as_cell, cells))

    return end.join(map(line, [table.names, *table.rows])) + end


def json_lines(table: Table, array: bool = False) -> str:
    rows: list = [dict(zip(table.names, row, strict=False)) for row in table.rows]
    if array:
        rows[1::2] = table.rows[1::2]
    return "\n".join(json.dumps(row, default=str) for row in rows)


def parquet(table: Table) -> bytes:
    """Return a Parquet file; a column whose values have no type in common has their text."""
    arrays = []
    for at in range(len(table.names)):
        column = [row[at] if at < len(row) else None for row in table.rows]
        try:
            arrays.append(pa.array(column))
        except (pa.ArrowException, OverflowError, TypeError, ValueError):
            arrays.append(pa.array([as_cell(cell).encode(errors="replace").decode() for cell in column]))
    names = [name.encode(errors="replace").decode() for name in table.names]
    stored = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_arrays(arrays, names=names), stored)
    return stored.getvalue().to_pybytes()


# By the name of the file: the usual forms, each as often as it is met.
WRITERS = {
    **dict.fromkeys(("a.csv", "b.csv", "c.CSV"), lambda table: text(table, ",", False, "\n")),
    **dict.fromkeys(("quoted.csv", "all.csv"), lambda table: text(table, ",", True, "\n")),
    "windows.csv": lambda table: "\ufeff" + text(table, ",", True, "\r\n"),
    "german.csv": lambda table: text(table, ";", False, "\n"),
    "utf16.csv": lambda table: text(table, ",", True, "\n").encode("utf-16", "replace"),
    "old.csv": lambda table: text(table, ",", True, "\r").encode("latin1", "replace"),
    **dict.fromkeys(("a.tsv", "b.TSV"), lambda table: text(table, "\t", True, "\n")),
    **dict.fromkeys(("a.jsonl", "b.jsonl", "c.JSONL"), json_lines),
    "arrays.jsonl": lambda table: json_lines(table, array=True),
    **dict.fromkeys(("a.parquet", "b.parquet", "c.parquet", "train.parquet"), parquet),
}
FILES = st.tuples(EDITS, st.sampled_from(sorted(WRITERS)), st.one_of(*[st.just([])] * 5, DAMAGE))


def content(case: tuple) -> bytes:
    """Return the bytes of one of `FILES`."""
    edits, name, damage = case
    written = WRITERS[name](edited(edits))
    return damaged(written if isinstance(written, bytes) else written.encode(errors="surrogatepass"), damage)
