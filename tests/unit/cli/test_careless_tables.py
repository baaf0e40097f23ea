"""Tables as people save them: what is meant for certain is read, into a table of our own; the rest is refused."""

import json
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from own_data import EXPECTED, LABELS, ROWS, found, indexed, main, refused, table, with_splits

from fairdream.cli.new_dataset.column_values import named_values
from fairdream.config.root import load_config
from fairdream.planning.stage_params import fill

COLUMNS = ("path", "label", "attribute", "split")
HEADER = ",".join(COLUMNS)


def text(home: Path, header: str = HEADER, form: str = "{},{},{},{}", end: str = "") -> None:
    table(home, files=[])
    lines = [header, *(form.format(*row) for row in with_splits())]
    (home / "data/pets/labels.csv").write_text("\n".join(lines) + "\n" + end, encoding="utf-8")


READ = {
    "blanks after the commas": {"header": "path, label, attribute, split", "form": "{}, {}, {}, {}"},
    "blanks before the commas": {"form": "{} ,{} ,{} ,{} "},
    "a byte order mark": {"header": f"\ufeff{HEADER}"},
    "rows of nothing at its end": {"end": ",,,\n , ,,\n"},
    "numbers of the rows": {"header": f",{HEADER}", "form": "7,{},{},{},{}"},
    "quotes": {"form": '"{}","{}","{}","{}"'},
    "line ends of Windows": {"header": f"{HEADER}\r", "form": "{},{},{},{}\r"},
}


@pytest.mark.parametrize("form", READ)
def test_what_is_meant_for_certain_is_read(home, form):
    text(home, **READ[form])
    main(["pets"])
    assert found(home) == EXPECTED
    own = load_config("config/pets.yaml").datasets["pets"]
    assert own.label_values == {"cat": "cat", "dog": "dog", "sea_lion": "sea-lion"}


def test_the_words_of_the_prompts_are_those_of_the_table(home):
    said = {"cat": "Männer", "dog": "Flat-coated_Retriever", "sea-lion": "猫", "grass": "50% {grey}", "snow": "0.5 m"}
    table(home, [tuple(said.get(cell, cell) for cell in row) for row in with_splits()])
    main(["pets"])
    config = load_config("config/pets.yaml")
    own = config.datasets["pets"]
    assert own.labels == {"Flat_coated_Retriever": "Flat coated Retriever", "Manner": "Männer", "label_3": "猫"}
    assert own.attributes == {"0.5_m": "0.5 m", "50_grey": "50% {grey}", "wet_sand": "wet sand"}
    assert own.prompts.ffr.attributes["50_grey"] == ["50% {grey}"]
    for template in (own.prompts.group, own.prompts.swapped):
        assert fill(config, "pets", template, "Manner-50_grey", None) == "photo of a Männer, 50% {grey}"


def test_a_sentence_for_a_value_is_its_words_and_a_name_that_paths_can_have(home):
    said = {
        name: f"a pet with long hair and a tail that is longer than those of most others, {name}" for name in LABELS[:2]
    }
    table(home, [tuple(said.get(cell, cell) for cell in row) for row in with_splits()])
    main(["pets"])
    labels = load_config("config/pets.yaml").datasets["pets"].labels
    assert list(labels.values()) == [*said.values(), "sea lion"]
    assert len(set(labels)) == 3
    assert max(map(len, labels)) <= 70


def test_every_value_has_a_name_of_its_own():
    values = ["a", "a_3", "a~", "a!", "b"]
    assert sorted(named_values(values, "label", "label", Path("a.csv")).values()) == sorted(values)


def test_images_without_an_attribute_have_another_name_than_the_attribute_unknown(home, capsys):
    rows = [(*row[:2], {"snow": "unknown", "wet sand": ""}.get(row[2], row[2]), row[3]) for row in with_splits()]
    table(home, rows)
    main(["pets", "--missing", "group"])
    own = load_config("config/pets.yaml").datasets["pets"]
    assert own.attribute_values == {"grass": "grass", "unknown": "unknown", "not_given": ""}
    assert "groups of their own, `not_given`" in capsys.readouterr().out


def test_a_table_that_reads_as_it_lies_is_left_as_it_is(home, capsys):
    text(home)
    main(["pets"])
    assert not Path("data/pets/fairdream.csv").exists()
    text(home, end=",,,\n")
    main(["pets", "--force"])
    told = capsys.readouterr().out
    assert "data/pets/fairdream.csv was written, without 1 row(s) of nothing: a run reads this table" in told


REFUSED = {
    "a column twice": ({"header": "path,label,attribute,label"}, "two columns are called 'label'"),
    "a column twice but for blanks": ({"header": "path,label,attribute, label"}, "two columns are called 'label'"),
    "columns that differ in case": (
        {"header": "path,label,attribute,Label"},
        "the columns label and Label differ in case alone; say --label",
    ),
    "marks at the ends of rows": ({"form": "{},{},{},{},"}, "more cells than its first line has names"),
    "Excel's line": ({"header": f"sep=,\n{HEADER}"}, "its first line is 'sep=,'"),
    "Excel's line and marks": ({"header": "sep=;\na;b", "form": "{};{}"}, "its first line is 'sep=;'"),
    "semicolons": (
        {"header": HEADER.replace(",", ";"), "form": "{};{};{};{}"},
        "written with ';'; save it with commas",
    ),
    "tabs": (
        {"header": HEADER.replace(",", "\t"), "form": "{}\t{}\t{}\t{}"},
        "written with '\\t'; save it with commas",
    ),
    "a row without its image": ({"end": ",cat,grass,train\n"}, "the cell of its image is empty"),
    "a row without its class": (
        {"form": "{},,{2},{3}".replace("{}", "{0}")},
        f"{len(ROWS)} of {len(ROWS)} images have no label, first cg00.png",
    ),
}


@pytest.mark.parametrize("form", REFUSED)
def test_what_could_mean_two_things_is_refused(home, form):
    written, words = REFUSED[form]
    text(home, **written)
    assert words in refused("pets")


def test_commas_in_a_table_of_tabs(home):
    text(home)
    Path("data/pets/labels.csv").rename("data/pets/labels.tsv")
    assert "written with ','; save it with tabs" in refused("pets")


def test_a_row_s_number_is_no_class(home):
    text(home, header=",path,species,attribute,split", form="1,{},{},{},{}")
    message = refused("pets")
    assert "Unnamed" not in message
    assert "species: 3 value(s)" in message


def test_lists_in_cells_are_no_class(home):
    table(home, files=[])
    frame = pd.DataFrame(with_splits(), columns=COLUMNS)
    frame["tags"] = [["a", "b"]] * len(frame)
    frame.to_parquet("data/pets/labels.parquet")
    main(["pets"])
    assert found(home) == EXPECTED
    assert "each cell of tags is a list" in refused("pets", "--force", "--label", "tags")


def test_words_of_yes_and_no_are_named_after_their_column(home, capsys):
    rows = [(n, y == "cat", a, s) for n, y, a, s in with_splits()]
    table(home, rows, ("path", "tame", "attribute", "split"), files=["labels.parquet"])
    main(["pets", "--label", "tame"])
    assert set(indexed(home)["label"]) == {"tame_true", "tame_false"}
    assert "tame has yes or no: write under `labels` what they stand for" in capsys.readouterr().out


def test_a_class_and_an_attribute_that_say_the_same_are_told(home, capsys):
    rows = [(n, y, {"cat": "C", "dog": "D"}.get(y, "S"), s) for n, y, _, s in with_splits()]
    table(home, rows)
    main(["pets"])
    assert "each label has one attribute and each attribute one label" in capsys.readouterr().out


def test_of_two_usual_names_the_other_is_told(home, capsys):
    rows = [(*row, row[1][0]) for row in with_splits()]
    table(home, rows, (*COLUMNS, "category"))
    main(["pets"])
    assert "label is taken for the label, not category; else --label category" in capsys.readouterr().out


def named_classes(numbers: list[int], names: list[str]) -> pa.Table:
    frame = pd.DataFrame(with_splits(), columns=COLUMNS).assign(label=numbers)
    features = json.dumps({"info": {"features": {"label": {"names": names}}}})
    written = pa.Table.from_pandas(frame, preserve_index=False)
    return written.replace_schema_metadata({"huggingface": features})


def test_the_names_of_classes_come_from_the_schema(home):
    table(home, files=[])
    names = ["cat", "dog", "sea-lion"]
    numbers = [names.index(row[1]) for row in with_splits()]
    pq.write_table(named_classes(numbers, names), "data/pets/labels.parquet")
    main(["pets"])
    assert found(home) == EXPECTED
    # no class is stored as -1
    pq.write_table(named_classes([-1, *numbers[1:]], names), "data/pets/labels.parquet")
    assert f"1 of {len(ROWS)} images have no label" in refused("pets", "--force")
    pq.write_table(named_classes([3, *numbers[1:]], names), "data/pets/labels.parquet")
    assert "label is 3, and its schema names 3 classes alone" in refused("pets", "--force")


def test_names_of_images_keep_their_zeros(home):
    table(home, files=[])
    lines = []
    for number, (name, *rest) in enumerate(with_splits()):
        Path("data/pets/images", name).rename(f"data/pets/images/{number:06d}.png")
        lines.append((f"{number:06d}", *rest))
    pd.DataFrame(lines, columns=COLUMNS).to_csv("data/pets/labels.csv", index=False)
    assert "its image 000000 is not in data/pets" in (message := refused("pets"))
    assert "but data/pets/images/000000.png is: write the endings into the table" in message


def test_a_column_that_pandas_kept_as_its_index(home):
    table(home, files=[])
    pd.DataFrame(with_splits(), columns=COLUMNS).set_index("path").to_parquet("data/pets/labels.parquet")
    main(["pets"])
    assert found(home) == EXPECTED


def test_an_answer_stands_in_the_configuration_and_the_table_is_left_as_it_is(home):
    codes = {"train": "0", "validation": "0", "test": "1"}
    table(home, [(*row[:3], codes[row[3]]) for row in with_splits()])
    main(["pets", "--split-values", "train=0,test=1"])
    section = load_config("config/pets.yaml").datasets["pets"]
    assert section.tables[0].file == "metadata.csv"
    assert section.split_values == {"train": "0", "test": "1"}
    assert (indexed(home)["split"] == "test").sum() == sum(row[3] == "test" for row in with_splits())
