"""A split is read wherever the data state it, or asked about: never replaced in silence, no test image trained on."""

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from own_data import EXPECTED, ROWS, found, indexed, main, png, refused, table, with_splits, write

from fairdream.config.root import load_config

COLUMNS = ("path", "label", "attribute", "split")
WHO = Counter(row[3] for row in with_splits())


def by_folder(home: Path, form: str, top: str = "") -> Path:
    """Images in a folder for each split, and a table whose paths are written in some form."""
    folder = home / "data/pets"
    lines = []
    for number, (name, label, attribute, split) in enumerate(with_splits()):
        write(folder / top / split / name, png(number))
        lines.append((form.format(split=split, name=name, folder=folder), label, attribute))
    pd.DataFrame(lines, columns=COLUMNS[:3]).to_csv(folder / "labels.csv", index=False)
    return folder


FORMS = [
    ("{split}/{name}", ""),
    ("./{split}/{name}", ""),
    (".\\{split}\\{name}", ""),
    ("data/pets/{split}/{name}", ""),
    ("{folder}/{split}/{name}", ""),
    ("/home/somebody/pets/{split}/{name}", ""),
    ("C:\\Users\\somebody\\{split}\\{name}", ""),
    ("images/{split}/{name}", "images"),
    ("{split}/{name}", "images"),
    ("{name}", ""),  # without its folder, which only the files have
]


@pytest.mark.parametrize(("form", "top"), FORMS)
def test_the_folders_in_paths_say_the_split_however_they_are_written(home, form, top, capsys):
    by_folder(home, form, top)
    main(["pets"])
    assert found(home) == EXPECTED
    assert "the folders of the images name their splits" in capsys.readouterr().out


def test_a_folder_that_has_the_name_of_a_class_is_no_split(home, capsys):
    folder = home / "data/pets"
    lines = []
    for number, (name, label, attribute) in enumerate(ROWS):
        label = {"cat": "train", "dog": "bus"}.get(label, label)
        write(folder / label / name, png(number))
        lines.append((f"{label}/{name}", label, attribute))
    pd.DataFrame(lines, columns=COLUMNS[:3]).to_csv(folder / "labels.csv", index=False)
    main(["pets"])
    assert "the table has no split" in capsys.readouterr().out


NAMES = {
    "words": ("{}.csv", {"train": "train", "validation": "val", "test": "test"}),
    "words in front": ("{}_labels.csv", {"train": "Train", "validation": "valid", "test": "Test"}),
    "words at the end": ("pets-{}.tsv", {"train": "training", "validation": "dev", "test": "testing"}),
    "Parquet": ("{}.parquet", {"train": "train", "validation": "validation", "test": "test"}),
}


AGAIN = {
    "folders": ("train_aug/{}", "split_of_folder"),
    "folders of classes": ("train_aug/{}", "split_of_folder"),
    "tables": ("{}", "split_of_file"),
}


@pytest.mark.parametrize("form", AGAIN)
def test_two_of_one_split_are_asked_about_as_one_may_hold_copies_of_the_other(home, form):
    path, name = AGAIN[form]
    folder = home / "data/pets"
    rows = [(f"train/{row[0]}" if path != "{}" else row[0], *row[1:3]) for row in with_splits()]
    more = [(path.format(f"a{row[0]}"), *row[1:3]) for row in with_splits()]
    if form == "folders of classes":
        rows, more = ([(path.replace("/", f"/{y}/{a}/"), y, a) for path, y, a in own] for own in (rows, more))
    for number, (image, *_) in enumerate([*rows, *more]):
        write(folder / image, png(number))
    if form == "tables":
        pd.DataFrame(rows, columns=COLUMNS[:3]).to_csv(folder / "train.csv", index=False)
        pd.DataFrame(more, columns=COLUMNS[:3]).to_csv(folder / "train_aug.csv", index=False)
    elif form == "folders":
        pd.DataFrame([*rows, *more], columns=COLUMNS[:3]).to_csv(folder / "labels.csv", index=False)
    assert f"{name} (the " in (message := refused("pets"))
    assert "'train_aug' is not certain" in message
    main(["pets", "--split", name, "--split-values", "train=train,none=train_aug"])
    assert len(indexed(home)) == len(rows)


@pytest.mark.parametrize("options", [(), ("--table", "pets_tr.csv,pets_te.csv")])
def test_short_words_in_tables_names_are_asked_about(home, options):
    folder = table(home, files=[])
    frame = pd.DataFrame(with_splits(), columns=COLUMNS)
    for name, split in (("tr", "train"), ("te", "test")):
        frame[frame["split"] == split].drop(columns="split").to_csv(folder / f"pets_{name}.csv", index=False)
    message = refused("pets", *options)
    assert '--split split_of_file --split-values "test=pets_te,train=pets_tr"' in message
    main(["pets", *options, "--split-values", "test=pets_te,train=pets_tr"])
    assert Counter(indexed(home)["split"])["test"] == WHO["test"]


def test_folders_named_as_spark_and_arrow_do_say_the_split(home):
    for number, (name, label, attribute, split) in enumerate(with_splits()):
        write(home / f"data/pets/split={split}" / label / attribute / name, png(number))
    main(["pets"])
    assert found(home) == EXPECTED


def test_nested_cells_that_say_a_split_are_read_and_others_told(home, capsys):
    folder = table(home)
    frame = pd.DataFrame(with_splits(), columns=COLUMNS)
    frame["meta"] = [{"split": split, "tags": ["a", "b"]} for split in frame.pop("split")]
    (folder / "metadata.csv").unlink()
    frame.to_json(folder / "metadata.jsonl", orient="records", lines=True)
    main(["pets"])
    assert found(home) == EXPECTED
    told = capsys.readouterr().out
    assert "the values of meta.split are words for splits" in told
    assert "not read, as their cells are lists or the like: meta" in told
    assert "fairdream.csv was written, with meta.split as text" in told
    frame["meta"] = [{"split": ["train", "test"]}] * len(frame)
    frame["split"] = [["train", "test"]] * len(frame)
    frame.to_json(folder / "metadata.jsonl", orient="records", lines=True)
    assert "does split state a split? Its cells are lists or the like" in refused("pets", "--force")


def test_a_folder_of_no_training_images_is_named_as_such(home):
    for number, (name, label, attribute) in enumerate(ROWS):
        write(home / "data/pets/valid_images" / label / attribute / name, png(number))
    assert "the split (the folders of the images) names no training images, only validation" in refused("pets")


def by_file(home: Path, names: str = "words", **other: str) -> Path:
    folder = table(home, files=[])
    form, words = NAMES[names]
    frame = pd.DataFrame(with_splits(), columns=COLUMNS)
    for split, rows in frame.groupby("split"):
        file = folder / form.format(words[split])
        rows = rows.drop(columns="split").assign(**other)
        if file.suffix == ".parquet":
            rows.to_parquet(file)
        else:
            rows.to_csv(file, index=False, sep="\t" if file.suffix == ".tsv" else ",")
    return folder


@pytest.mark.parametrize("names", NAMES)
def test_a_table_of_each_split_are_one_table(home, names, capsys):
    by_file(home, names)
    main(["pets"])
    assert found(home) == EXPECTED
    assert "the names of the tables say the splits" in capsys.readouterr().out


def test_tables_of_each_split_name_images_of_their_own_folders_also_where_these_have_the_same_names(home):
    folder = home / "data/pets"
    for split in ("train", "validation", "test"):
        rows = [row for row in with_splits() if row[3] == split]
        for number in range(len(rows)):
            write(folder / split / f"{number}.png", png(number + 300 * len(split)))
        lines = [(f"{number}.png", *row[1:3]) for number, row in enumerate(rows)]
        pd.DataFrame(lines, columns=COLUMNS[:3]).to_csv(folder / f"{split}.csv", index=False)
    main(["pets"])
    assert found(home) == EXPECTED
    read = indexed(home)
    assert (read["split"] == read["path"].str.split("/").str[0]).all()


def test_a_table_of_each_split_beside_others_is_asked_about_with_the_answer(home, capsys):
    folder = by_file(home)
    (folder / "attributes.csv").write_text("path,colour\n")
    message = refused("pets")
    assert "several tables: attributes.csv, test.csv, train.csv, val.csv" in message
    assert "--table test.csv,train.csv,val.csv reads these as one" in message
    main(["pets", "--table", "test.csv,train.csv,val.csv"])
    assert found(home) == EXPECTED
    capsys.readouterr()
    main(["pets", "--table", "train.csv", "--force"])
    assert (
        "test.csv, val.csv is not read; --table train.csv,test.csv,val.csv reads them as one" in capsys.readouterr().out
    )
    # also where one of them has the name that is read by default
    (folder / "attributes.csv").rename(folder / "metadata.csv")
    assert "several tables" in refused("pets", "--force")


def test_a_lone_table_of_the_test_is_not_trained_on_unasked(home):
    table(home, ROWS, COLUMNS[:3], files=["test.csv"])
    assert "its name says test, and there is no table of training images. --split none" in refused("pets")
    main(["pets", "--split", "none"])
    assert set(indexed(home)["split"]) == {"train", "validation", "test"}


def recoded(home: Path, code, columns=COLUMNS) -> None:
    table(
        home,
        [(n, y, a, *(code(s) if isinstance(code(s), tuple) else (code(s),))) for n, y, a, s in with_splits()],
        columns,
    )


WRITTEN = {
    "capitals": ("split", {"train": "Train", "validation": "VAL", "test": "Test"}),
    "words with set": ("subset", {"train": "training set", "validation": "Validation Set", "test": "test_set"}),
    "blanks": ("split", {"train": "train ", "validation": " val", "test": "test"}),
    "an unusual name": ("usage", {"train": "train", "validation": "dev", "test": "test"}),
    "Waterbirds' numbers": ("split", {"train": "0", "validation": "1", "test": "2"}),
    "numbers under an unusual name": ("DataSplit", {"train": "0", "validation": "1", "test": "2"}),
    "folds with words": ("fold", {"train": "train", "validation": "valid", "test": "test"}),
}


@pytest.mark.parametrize("form", WRITTEN)
def test_a_column_that_says_it_in_known_words(home, form):
    name, words = WRITTEN[form]
    recoded(home, words.get, (*COLUMNS[:3], name))
    main(["pets"])
    assert found(home) == EXPECTED


FLAGS = {
    "one for each": (("is_train", "is_val", "is_test"), lambda s: (s == "train", s == "validation", s == "test")),
    "none for training": (("validation", "test"), lambda s: (int(s == "validation"), int(s == "test"))),
    "training and validation, as Parquet has it": (
        ("is_train", "is_valid", "in_test_set"),
        lambda s: tuple({True: "true", False: "false"}[s == own] for own in ("train", "validation", "test")),
    ),
}


@pytest.mark.parametrize("form", FLAGS)
def test_columns_of_yes_and_no(home, form):
    names, flags = FLAGS[form]
    recoded(home, flags, (*COLUMNS[:3], *names))
    main(["pets"])
    assert found(home) == EXPECTED


def test_a_column_of_the_test_alone_leaves_the_others_for_training(home, capsys):
    recoded(home, lambda split: split == "test", (*COLUMNS[:3], "is_test"))
    main(["pets"])
    told = capsys.readouterr().out
    assert "is_test says the splits" in told
    assert "is for the validation: a seeded order takes 10 %" in told
    read = indexed(home).set_index("path")
    expected = {f"images/{name}" for name, _, _, split in with_splits() if split == "test"}
    assert set(read.index[read["split"] == "test"]) == expected


# what is written, what the message says, and the options that it names as an answer, with the splits that follow
UNCERTAIN = {
    "training or not": (
        "is_train",
        lambda s: str(s == "train"),
        ["which split is False?", '--split is_train --split-values "train=True,?=False"'],
        ["--split", "is_train", "--split-values", "train=True,test=False"],
        {"test": WHO["test"] + WHO["validation"]},
    ),
    "an unknown word": (
        "split",
        {"train": "train", "validation": "holdout", "test": "test"}.get,
        ["'holdout' is no split", "?=holdout"],
        ["--split-values", "none=holdout"],
        {"test": WHO["test"]},
    ),
    "an unknown word under an unusual name": (
        "usage",
        {"train": "train", "validation": "unlabeled", "test": "test"}.get,
        ["usage: 'unlabeled' is no split"],
        ["--split-values", "validation=unlabeled"],
        WHO,
    ),
    "two words for one split": (
        "split",
        {"train": "train", "validation": "test", "test": "eval"}.get,
        ["'test' stands for test, as does 'eval'"],
        ["--split-values", "validation=test,test=eval"],
        WHO,
    ),
    "an empty cell": (
        "split",
        {"train": "train", "validation": None, "test": "test"}.get,
        [f"nothing is said of {WHO['validation']} image(s)"],
        ["--split-values", "validation="],
        WHO,
    ),
    "two numbers": (
        "split",
        {"train": 0, "validation": 0, "test": 1}.get,
        ["'0' is no split", "'1' is no split"],
        ["--split-values", "train=0,test=1"],
        {"test": WHO["test"]},
    ),
    "numbers of which the first is not the largest": (
        "split",
        {"train": 2, "validation": 1, "test": 0}.get,
        ["'0' is no split"],
        ["--split-values", "train=2,validation=1,test=0"],
        WHO,
    ),
    "folds": (
        "fold",
        {"train": 1, "validation": 4, "test": 5}.get,
        ["fold: '1' is no split"],
        ["--split-values", "train=1,validation=4,test=5"],
        WHO,
    ),
    "a usual name with other words": (
        "partition",
        {"train": "A", "validation": "B", "test": "C"}.get,
        ["'A' is no split"],
        ["--split", "partition", "--split-values", "train=A,validation=B,test=C"],
        WHO,
    ),
}


@pytest.mark.parametrize("form", UNCERTAIN)
def test_what_looks_like_a_split_and_is_not_certain_is_asked_with_its_answers(home, form):
    name, code, words, answer, splits = UNCERTAIN[form]
    recoded(home, code, (*COLUMNS[:3], name))
    message = refused("pets")
    for word in (*words, "which images are for training and which for the test is not certain", "--split none"):
        assert word in message
    main(["pets", *answer])
    read = Counter(indexed(home)["split"])
    assert {split: read[split] for split in splits} == dict(splits)
    main(["pets", "--split", "none", "--force"])
    assert load_config("config/pets.yaml").datasets["pets"].held_out.test == 0.2


def test_images_left_out_are_told_and_in_no_split(home, capsys):
    recoded(home, {"train": "train", "validation": "unlabeled", "test": "test"}.get)
    main(["pets", "--split-values", "none=unlabeled"])
    assert f"{WHO['validation']} images whose split is 'unlabeled' are left out" in capsys.readouterr().out
    assert len(indexed(home)) == len(ROWS) - WHO["validation"]


def test_several_values_may_stand_for_one_split(home):
    folds = iter(np.arange(10**6) % 5)
    recoded(home, {"train": "0", "validation": "8", "test": "9"}.get, (*COLUMNS[:3], "fold"))
    frame = pd.read_csv("data/pets/metadata.csv")
    frame.loc[frame["fold"] == 0, "fold"] = [next(folds) for _ in range((frame["fold"] == 0).sum())]
    frame.to_csv("data/pets/metadata.csv", index=False)
    main(["pets", "--split-values", "train=0,train=1,train=2,train=3,train=4,validation=8,test=9"])
    assert found(home) == EXPECTED


def test_some_paths_that_say_a_split_are_asked_about(home):
    folder = by_folder(home, "{split}/{name}")
    frame = pd.read_csv(folder / "labels.csv")
    (folder / "more").mkdir()
    (folder / frame["path"][0]).rename(folder / "more/a.png")
    frame.loc[0, "path"] = "more/a.png"
    frame.to_csv(folder / "labels.csv", index=False)
    message = refused("pets")
    assert "split_of_folder (the folders of the images): nothing is said of 1 image(s)" in message
    answer = "--split split_of_folder --split-values"
    assert answer in message
    main(["pets", "--split", "split_of_folder", "--split-values", "train="])
    assert len(indexed(home)) == len(ROWS)


def contradicted(home: Path) -> Path:
    folder = by_folder(home, "{split}/{name}")
    frame = pd.read_csv(folder / "labels.csv")
    frame["split"] = [row[3] for row in with_splits()][::-1]
    frame.to_csv(folder / "labels.csv", index=False)
    return folder


def test_places_that_contradict_each_other_are_asked_about(home):
    contradicted(home)
    message = refused("pets")
    for word in ("They contradict each other", "--split split,", "--split split_of_folder,", "--split none"):
        assert word in message
    main(["pets", "--split", "split_of_folder"])
    assert found(home) == EXPECTED
    main(["pets", "--split", "split", "--force"])
    read = indexed(home).set_index("path")["split"]
    stated = pd.read_csv("data/pets/labels.csv").set_index("path")["split"]
    assert read.to_dict() == stated.to_dict()


def test_a_column_that_contradicts_the_folders_of_metadata_is_not_dropped(home):
    folder = home / "data/pets"
    for split in ("train", "validation", "test"):
        rows = [(number, row) for number, row in enumerate(with_splits()) if row[3] == split]
        for number, row in rows:
            write(folder / split / row[0], png(number))
        frame = pd.DataFrame([row[:3] for _, row in rows], columns=["file_name", "label", "attribute"])
        frame.assign(split="train").to_csv(folder / split / "metadata.csv", index=False)
    assert "They contradict each other" in refused("pets")
    main(["pets", "--split", "split_of_folder"])
    assert found(home) == EXPECTED


def test_places_that_agree_are_no_question(home, capsys):
    both = [(*row, row[3]) for row in with_splits()]
    table(home, both, columns=(*COLUMNS[:3], "fold", "part"))
    main(["pets"])
    assert found(home) == EXPECTED
    # nor is a column of folds beside one that is understood, and it is told
    numbered = [(*row, number % 5) for number, row in enumerate(with_splits())]
    table(home, numbered, columns=(*COLUMNS, "fold"))
    main(["pets", "--force"])
    assert found(home) == EXPECTED
    assert "the split is that of split; fold is not read for one" in capsys.readouterr().out


def test_an_unknown_word_is_asked_about_also_where_another_place_is_understood(home):
    words = {"train": "train", "validation": "val", "test": "test"}
    rows = [(*row, "holdout" if number == 0 else words[row[3]]) for number, row in enumerate(with_splits())]
    table(home, rows, columns=(*COLUMNS, "subset"))
    assert "subset: 'holdout' is no split" in refused("pets")
    main(["pets", "--split", "split"])
    assert found(home) == EXPECTED


def test_an_image_in_two_splits_is_refused(home):
    rows = with_splits()
    table(home, [*rows, (f"./{rows[0][0]}", *rows[0][1:3], "test")])
    assert "stands twice, for train and for test; leave one" in refused("pets")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--split-values", "train:0"], "'train:0' says no split of a value"),
        (["--split-values", "rest=0"], "'rest=0' says no split of a value"),
        (["--split-values", "train=a,test=a"], "'test=a' says no split of a value"),
        (["--split-values", "none=holdout"], "--split-values names 'holdout', which split has not"),
        (["--split-values", "none=x", "--split", "none"], "leave one out"),
        (["--split", "splt"], "did you mean split?"),
    ],
)
def test_answers_that_do_not_fit(home, options, words):
    table(home)
    assert words in refused("pets", *options)


def test_an_answer_to_no_question(home):
    table(home, ROWS, COLUMNS[:3])
    assert "nothing in it looks like a split" in refused("pets", "--split-values", "train=a")
