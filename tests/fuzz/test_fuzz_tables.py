"""Whatever table a user gives, each of the three that read it gives a result that holds, or refuses it."""

from pathlib import Path

import pandas as pd
import pytest
from fuzzing import fuzz
from hypothesis import strategies as st
from odd_tables import FILES, ROWS, Table, content, edited
from PIL import Image

from fairdream.classification.truth import images_of, match
from fairdream.cli.new_dataset.options import Options
from fairdream.cli.new_dataset.section import count_groups, look
from fairdream.config.datasets import Source
from fairdream.data.index import read_tables
from fairdream.data.table_files import as_text, read_table

# What new-dataset is told: mostly nothing.
OPTIONS = st.one_of(
    st.just({}),
    st.just({}),
    st.fixed_dictionaries(
        {},
        optional={
            "split": st.sampled_from(["split", "none", "fold"]),
            "split_values": st.sampled_from(["test=test,train=train", "none=,train=0", "train"]),
            "missing": st.sampled_from(["drop", "group"]),
            "label": st.sampled_from(["label", "y", "attribute"]),
            "images": st.sampled_from(["images", "", "gone"]),
        },
    ),
    st.sampled_from([{"missing": "drop"}, {"missing": "group"}, {"split": "none"}]),
)


@pytest.fixture(scope="module")
def pets(tmp_path_factory) -> Path:
    """The images that the tables are of, once for all of them."""
    folder = tmp_path_factory.mktemp("data") / "pets"
    (folder / "images").mkdir(parents=True)
    for number, row in enumerate(ROWS):
        Image.new("RGB", (4, 4), (number, 0, 0)).save(folder / "images" / row["path"])
    return folder


def write(folder: Path, case: tuple) -> Path:
    """Write one case's table, in the place of the one before."""
    for other in folder.iterdir():
        if other.is_file():
            other.unlink()
    file = folder / case[1]
    file.write_bytes(content(case))
    return file


def test_a_run_reads_a_table_or_refuses_it(pets, tell):
    def read(case: tuple) -> None:
        file = write(pets, case)
        source = Source(
            folder=str(pets),
            images="images",
            tables=[{"file": file.name}],
            label_values={"cat": "cat", "dog": "dog", "zero": 0},
            attribute_values={"grass": "grass", "snow": "snow"},
            split_values={"train": "train", "test": "test"},
            missing_attribute="drop",
            train_counts={},
        )
        found = read_tables(source)
        assert set(found["label"]) <= {"cat", "dog", "zero"}
        assert set(found["attribute"]) <= {"grass", "snow"}
        assert set(found["split"]) <= {"train", "test"}
        assert found["path"].is_unique
        raw = read_table(file)
        assert len(found) + (as_text(raw["attribute"]) == "").sum() == len(raw)

    ended = fuzz("tables for a run", FILES, read, 1000, tell)
    assert min(ended.values()) > 100


def test_predict_finds_the_rows_of_images_or_refuses_the_table(pets, tell):
    images = [pets / "images" / row["path"] for row in ROWS]

    def read(case: tuple) -> None:
        file = write(pets, case)
        named = images_of(file)
        rows, _ = match(images, ["cat", "dog"], file)
        assert rows.keys() <= {str(image) for image in images}
        assert {row.label for row in rows.values()} <= {"cat", "dog"}
        assert len({row.number for row in rows.values()}) == len(rows)
        assert {image.name for image in map(Path, rows)} <= {image.name for image in named}

    ended = fuzz("tables for predict", FILES, read, 1000, tell)
    assert min(ended.values()) > 100


def test_new_dataset_takes_every_row_and_keeps_a_stated_split_or_refuses_the_table(pets, tell):
    def read(case: tuple) -> None:
        file, own = write(pets, case[0]), Options("pets", folder=pets, **case[1])
        values = look(pets, own, [])
        counts = count_groups(values, 0)
        table = values["tables"][0]
        raw = read_table(pets / table["file"])
        dropped = (as_text(raw[table["attribute"]]) == "").sum() if own.missing == "drop" else 0
        assert sum(sum(count.values()) for count in counts.values()) + dropped == len(raw)
        for path in raw[table["path"]]:
            assert (pets / values["images"] / path).is_file()
        if own.split is own.split_values is None:
            check_split(edited(case[0][0]), file, raw, table, values)

    ended = fuzz("tables for new-dataset", st.tuples(FILES, OPTIONS), read, 600, tell)
    assert min(ended.values()) > 50


def check_split(written: Table, file: Path, raw: pd.DataFrame, table: dict, values: dict) -> None:
    """Compare the split of each image with the one that its row states, where there is one column for it."""
    if written.names.count("split") != 1 or table["split"] is None:
        return
    words = {value: split for split, value in (values["split_values"] or {}).items()}
    at = written.names.index("split")
    stated = {str(row[0]): row[at] for row in written.rows if len(row) == len(written.names)}
    for path, value in zip(raw[table["path"]], raw[table["split"]], strict=True):
        if stated.get(path) in ("train", "test"):
            assert words[value] == stated[path]
