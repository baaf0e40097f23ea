"""The index reads the authors' tables, and names the file and the row of what is wrong."""

import unicodedata

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fairdream.config.datasets import Source
from fairdream.data.index import index
from fairdream.data.manifest import refresh, write_manifest
from fairdream.errors import UserError
from fairdream.identity import file_digest

HEADER = ("path", "label", "attribute", "split")
ROWS = [
    ("a.png", "even", "land", "train"),
    ("b.png", "even", "water", "train"),
    ("c.png", "odd", "land", "train"),
    ("d.png", "odd", "water", "train"),
    ("e.png", "odd", "water", "train"),
    ("f.png", "even", "land", "test"),
    ("g.png", "even", "water", "test"),
    ("h.png", "odd", "land", "test"),
    ("i.png", "odd", "water", "test"),
]
COUNTS = {"even-land": 1, "even-water": 1, "odd-land": 1, "odd-water": 2}


def write_table(path, header, rows):
    path.write_text("\n".join(",".join(map(str, row)) for row in (header, *rows)) + "\n")


@pytest.fixture
def folder(tmp_path):
    for number, row in enumerate(ROWS):
        pixels = np.full((8, 8, 3), 20 * number, np.uint8)
        (tmp_path / "images").mkdir(exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "images" / row[0])
    write_table(tmp_path / "metadata.csv", HEADER, ROWS)
    return tmp_path


def source(folder, **values) -> Source:
    same = {"label": ("even", "odd"), "attribute": ("land", "water"), "split": ("train", "validation", "test")}
    return Source(
        **{
            "folder": str(folder),
            "images": "images",
            "tables": [{"file": "metadata.csv"}],
            "train_counts": COUNTS,
            **{f"{role}_values": {name: name for name in names} for role, names in same.items()},
            **values,
        }
    )


def run(folder, **values) -> pd.DataFrame:
    config = source(folder, **values)
    write_manifest(str(folder / "manifest.parquet"), config)
    index(str(folder / "manifest.parquet"), str(folder / "index.parquet"), config)
    return pd.read_parquet(folder / "index.parquet")


def refused(folder, **values) -> str:
    with pytest.raises(UserError) as error:
        run(folder, **values)
    assert not (folder / "index.parquet").exists()
    return str(error.value)


def test_the_index_of_a_plain_table(folder):
    table = run(folder)
    assert table["id"].tolist() == [f"images/{row[0]}" for row in ROWS]
    for column, position in (("label", 1), ("attribute", 2), ("split", 3)):
        assert table[column].tolist() == [row[position] for row in ROWS]
    assert table["sha256"].tolist() == [file_digest(folder / name) for name in table["path"]]


def test_the_order_of_the_table_does_not_matter(folder):
    first = run(folder)
    write_table(folder / "metadata.csv", HEADER, ROWS[::-1])
    pd.testing.assert_frame_equal(first, run(folder))


FRAMES = {
    "several joined": lambda frame: pd.concat([frame[:4], frame[4:].reset_index(drop=True)]),
    "rows left out": lambda frame: pd.concat([frame, frame]).iloc[len(frame) :],
    "shuffled": lambda frame: frame.sample(frac=1, random_state=0),
    "the path as index": lambda frame: frame.set_index("path"),
    "several columns as index": lambda frame: frame.set_index(["path", "split"]),
    "a column that is the index too": lambda frame: frame.set_index(frame["path"]),
    "labels without a name": lambda frame: frame.set_index(pd.Index([f"r{n}" for n in range(len(frame))])),
    "a name for the numbers": lambda frame: frame.rename_axis("number"),
}


@pytest.mark.parametrize("form", FRAMES)
def test_an_index_that_pandas_stored_is_no_number_of_rows(folder, form):
    plain = run(folder)
    (folder / "index.parquet").unlink()
    table = FRAMES[form](pd.DataFrame(ROWS, columns=HEADER))
    table.to_parquet(folder / "metadata.parquet")
    tables = [{"file": "metadata.parquet"}]
    pd.testing.assert_frame_equal(run(folder, tables=tables), plain)
    (folder / "index.parquet").unlink()
    wrong = table.assign(label=["even"] * 6 + ["neither"] + ["even"] * 2)
    wrong.to_parquet(folder / "metadata.parquet")
    assert "metadata.parquet: row 8: label is 'neither'" in refused(folder, tables=tables)


def two_tables(folder):
    labels = {"even": -1, "odd": 1}
    attributes = {"land": -1, "water": 1}
    splits = {"train": 0, "validation": 1, "test": 2}
    write_table(
        folder / "attr.csv", ("image_id", "Blond", "Male"), [(r[0], labels[r[1]], attributes[r[2]]) for r in ROWS]
    )
    # another order: the tables are joined on the image
    write_table(folder / "parts.csv", ("image_id", "partition"), [(r[0], splits[r[3]]) for r in ROWS[::-1]])
    return {
        "tables": [
            {"file": "attr.csv", "path": "image_id", "label": "Blond", "attribute": "Male", "split": None},
            {"file": "parts.csv", "path": "image_id", "label": None, "attribute": None, "split": "partition"},
        ],
        "label_values": labels,
        "attribute_values": attributes,
        "split_values": splits,
    }


def test_two_tables_with_numbers_for_names_read_the_same(folder):
    first = run(folder)
    pd.testing.assert_frame_equal(first, run(folder, **two_tables(folder)))


def celeba_text(folder):
    """The same tables in the authors' text form."""
    values = two_tables(folder)
    for table in values["tables"]:
        table["file"] = table["file"].replace(".csv", ".txt")
    rows = [f"{r[0]}  {-1 if r[1] == 'even' else 1:2d} {-1 if r[2] == 'land' else 1:2d}" for r in ROWS]
    (folder / "attr.txt").write_text("\n".join([str(len(ROWS)), "Blond Male", *rows]) + "\n")
    splits = ("train", "validation", "test")
    (folder / "parts.txt").write_text("".join(f"{r[0]} {splits.index(r[3])}\n" for r in ROWS))
    return values


def test_celeba_s_own_text_form_reads_the_same(folder):
    first = run(folder)
    pd.testing.assert_frame_equal(first, run(folder, **celeba_text(folder)))


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda text: text.replace(str(len(ROWS)), "99", 1), ["attr.txt", f"says 99 images and has {len(ROWS)}"]),
        (lambda text: text.rstrip("\n") + " 1\n", ["attr.txt", f"line {len(ROWS) + 2} has 4 values instead of 3"]),
        (lambda text: "", ["attr.txt", "no rows"]),
    ],
)
def test_a_broken_text_form_is_named_with_its_line(folder, edit, words):
    values = celeba_text(folder)
    (folder / "attr.txt").write_text(edit((folder / "attr.txt").read_text()))
    message = refused(folder, **values)
    for word in words:
        assert word in message


def test_a_missing_column_is_named_beside_those_that_are_there(folder):
    write_table(folder / "metadata.csv", ("path", "class", "attribute", "split"), ROWS)
    message = refused(folder)
    for word in ("metadata.csv", "no column label", "class"):
        assert word in message


def test_an_unknown_value_is_named_with_its_row_in_the_file(folder):
    rows = [list(row) for row in ROWS]
    rows[3][1] = "zero"
    write_table(folder / "metadata.csv", HEADER, rows)
    message = refused(folder)
    # the header is row 1, as an editor counts
    for word in ("metadata.csv", "row 5", "label", "'zero'", "even, odd"):
        assert word in message


def test_an_unknown_value_in_the_second_table(folder):
    values = two_tables(folder)
    write_table(folder / "parts.csv", ("image_id", "partition"), [(row[0], 3) for row in ROWS])
    message = refused(folder, **values)
    for word in ("parts.csv", "row 2", "partition", "'3'"):
        assert word in message


def test_an_empty_cell_is_an_unknown_value(folder):
    rows = [list(row) for row in ROWS]
    rows[1][2] = ""
    write_table(folder / "metadata.csv", HEADER, rows)
    assert "row 3: attribute is ''" in refused(folder)


def test_an_image_that_stands_twice(folder):
    write_table(folder / "metadata.csv", HEADER, [*ROWS, ROWS[2]])
    message = refused(folder)
    assert "metadata.csv" in message
    assert "c.png stands twice" in message


def test_a_missing_image_is_named(folder):
    (folder / "images/d.png").unlink()
    message = refused(folder)
    assert "1 image(s)" in message
    assert "images/d.png" in message


def test_every_broken_image_is_named(folder):
    for name in ("b.png", "e.png"):
        path = folder / "images" / name
        path.write_bytes(path.read_bytes()[:50])
    message = refused(folder)
    assert "2 image(s) cannot be opened" in message
    for name in ("b.png", "e.png"):
        assert str(folder / "images" / name) in message


def test_wrong_group_sizes_are_named_with_both_numbers(folder):
    message = refused(folder, train_counts=COUNTS | {"odd-water": 3, "even-land": 4})
    for word in ("odd-water: 2 found, 3 stated", "even-land: 1 found, 4 stated", "train_counts"):
        assert word in message
    assert "odd-land" not in message


def test_a_table_that_is_none(folder):
    (folder / "metadata.csv").write_bytes(b"\xff\xfe\x00\x01")
    assert "metadata.csv" in refused(folder)


def test_images_that_only_one_table_knows_are_named(folder):
    values = two_tables(folder)
    write_table(folder / "parts.csv", ("image_id", "partition"), [(row[0], 0) for row in ROWS[:-1]])
    assert "attr.csv: 1 image(s) are not in" in (message := refused(folder, **values))
    assert "parts.csv, first i.png" in message
    write_table(folder / "parts.csv", ("image_id", "partition"), [(f"{name}.png", 0) for name in "abcdefghij"])
    assert "parts.csv: 1 image(s) are not in" in (message := refused(folder, **values))
    assert "attr.csv, first j.png" in message


def test_data_that_change_while_they_are_read_make_no_index(folder, monkeypatch):
    """A dry run or another run that finds the change writes the manifest anew: the index would pass for its result."""
    from fairdream.data import index as module

    manifest, config = folder / "manifest.parquet", source(folder)
    open_all = module._open_all

    def edit(paths):
        open_all(paths)
        Image.new("RGB", (8, 8), (1, 2, 3)).save(folder / "images/a.png")
        refresh(manifest, config)

    monkeypatch.setattr(module, "_open_all", edit)
    assert "changed while they were read" in refused(folder)
    monkeypatch.undo()
    assert len(run(folder)) == len(ROWS)


def test_json_lines_and_parquet_read_the_same_as_csv(folder):
    first = run(folder)
    frame = pd.DataFrame(ROWS, columns=HEADER)
    frame.to_json(folder / "metadata.jsonl", orient="records", lines=True)
    frame.to_parquet(folder / "metadata.parquet")
    written = (folder / "metadata.jsonl").read_text()
    (folder / "marked.jsonl").write_text(written, encoding="utf-8-sig")
    for file in ("metadata.jsonl", "marked.jsonl", "metadata.parquet"):
        pd.testing.assert_frame_equal(first, run(folder, tables=[{"file": file}]))


def without_attributes(folder, file="metadata.csv"):
    """Two of the six images have no attribute."""
    rows = ROWS[:6]
    codes = [None if number in (1, 4) else int(row[2] == "water") for number, row in enumerate(rows)]
    frame = pd.DataFrame(rows, columns=HEADER).assign(attribute=codes)
    if file.endswith("parquet"):
        frame.to_parquet(folder / file)  # as 0.0, 1.0 and NaN
    else:
        frame.astype({"attribute": "Int64"}).to_csv(folder / file, index=False)
    return {"tables": [{"file": file}], "attribute_values": {"land": 0, "water": 1}}


@pytest.mark.parametrize("file", ["metadata.csv", "metadata.parquet"])
def test_images_without_an_attribute_are_counted_and_stop_the_check_with_the_choices(folder, file):
    message = refused(folder, **without_attributes(folder, file))
    for word in ("row 3: attribute is ''", "2 of its 6 rows", "missing_attribute: drop", "attribute_values"):
        assert word in message


def test_images_of_sixteen_bits_that_use_fewer_are_counted_in_one_warning(folder, caplog):
    values = {"a.png": 4095, "b.png": 900, "c.png": 40000, "d.png": 0}
    for name, value in values.items():
        Image.fromarray(np.full((8, 8), value, np.uint16)).save(folder / "images" / name)
    run(folder)
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 1
    assert "2 image(s) of 16 bits use the lower 12 alone, first " in warnings[0]
    assert "a.png, whose largest value is 4095 of 65535" in warnings[0]
    assert warnings[0].endswith("multiplied by 16")


@pytest.mark.parametrize("file", ["metadata.csv", "metadata.parquet"])
def test_images_without_an_attribute_are_left_out_and_counted_if_the_configuration_says_so(folder, file, caplog):
    values = without_attributes(folder, file)
    counts = {"even-land": 1, "even-water": 0, "odd-land": 1, "odd-water": 1}
    with caplog.at_level("INFO"):
        table = run(folder, **values, missing_attribute="drop", train_counts=counts)
    assert table["id"].tolist() == [f"images/{name}.png" for name in "acdf"]
    assert "2 of 6 images have no attribute and are left out" in caplog.text
    assert "even-water: 0 training images" in caplog.text


def test_images_without_an_attribute_may_be_groups_of_their_own(folder):
    values = without_attributes(folder)
    values["attribute_values"]["unknown"] = ""
    counts = {"even-land": 1, "even-water": 0, "odd-land": 1, "odd-water": 1, "even-unknown": 1, "odd-unknown": 1}
    assert (run(folder, **values, train_counts=counts)["attribute"] == "unknown").sum() == 2


def test_a_data_set_without_a_test_image_is_refused(folder):
    write_table(folder / "metadata.csv", HEADER, [(*row[:3], "train") for row in ROWS])
    message = refused(folder, train_counts=COUNTS | {"even-land": 2})
    assert "no image is for the test" in message
    assert "held_out.test" in message


def test_an_image_is_found_in_any_unicode_form_and_keeps_the_table_s_name(folder):
    rows = [(f"é{row[0]}", *row[1:]) for row in ROWS]
    write_table(folder / "metadata.csv", HEADER, rows)
    for row in ROWS[1:]:
        (folder / "images" / row[0]).rename(folder / "images" / unicodedata.normalize("NFD", f"é{row[0]}"))
    (folder / "images" / ROWS[0][0]).rename(folder / f"images/é{ROWS[0][0]}")
    table = run(folder)
    assert set(table["id"]) == {f"images/{row[0]}" for row in rows}
    assert all((folder / path).is_file() for path in table["path"])
    assert set(table["id"]) & set(table["path"]) == {f"images/é{ROWS[0][0]}"}
