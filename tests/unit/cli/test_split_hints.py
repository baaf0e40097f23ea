"""What only looks like a stated split is asked about, and the options in the question answer it."""

import re
import shlex
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
from own_data import EXPECTED, ROWS, found, indexed, main, png, refused, table, with_splits, write

from fairdream.cli.new_dataset.split_words import hints
from fairdream.config.root import load_config

COLUMNS = ["path", "label", "attribute"]
WHO = Counter(row[3] for row in with_splits())


def answer(message: str) -> list[str]:
    """The first options that a question names."""
    return shlex.split(re.search(r'Say (--split \S+ --split-values "[^"]*")', message)[1])


@pytest.mark.parametrize(
    ("name", "splits"),
    {
        "PublicTest": {"test"},
        "pets_train": {"train"},
        "trainA": {"train"},
        "val2017": {"validation"},
        "Fold_holdout": {"other"},
        "hold-out": {"other"},
        "fold1": {"other"},
        "train_test": {"train", "test"},
        "testament": set(),
        "manifold": set(),
        "Pru\u0308fung": {"test"},
        "训练集": {"train"},
        "te": set(),
    }.items(),
)
def test_words_are_found_between_marks_capitals_and_numbers(name, splits):
    assert hints(name) == splits


VALUES = {
    "Usage": ({"train": "Training", "validation": "PublicTest", "test": "PrivateTest"}, "test=PublicTest"),
    "phase": ({"train": "train", "validation": "heldout", "test": "heldout"}, "?=heldout"),
    "dataset": ({"train": "pets_train", "validation": "pets_val", "test": "pets_test"}, "train=pets_train"),
    "is_test": ({"train": "nein", "validation": "nein", "test": "ja"}, "?=ja,?=nein"),
    "test": ({"train": "", "validation": "", "test": "x"}, "?=,?=x"),
    "holdout": ({"train": 0, "validation": 0, "test": 1}, "?=0,?=1"),
    "train_test": ({"train": 0, "validation": 0, "test": 1}, "?=0,?=1"),
    "used_for_training": ({"train": "yes", "validation": "no", "test": "no"}, "?=no,?=yes"),
    "kfold": ({"train": 0, "validation": 3, "test": 4}, "?=0,?=3,?=4"),
    "fold": ({"train": 0, "validation": 1, "test": 2}, "?=0,?=1,?=2"),
    "'Data Type'": ({"train": "TRAIN", "validation": "TRAIN-AUG", "test": "TEST"}, "train=TRAIN-AUG"),
    "part": ({"train": "trn", "validation": "val", "test": "tst"}, "train=trn,test=tst"),
    "Teilmenge": ({"train": "Training", "validation": "Training", "test": "Prüfung"}, "train=Training,test=Prüfung"),
    "conjunto": ({"train": "entrenamiento", "validation": "validación", "test": "prueba"}, "train=entrenamiento"),
    "part_ru": ({"train": "обучение", "validation": "обучение", "test": "тест"}, "train=обучение,test=тест"),
    "cohort": ({"train": "development", "validation": "development", "test": "external validation"}, "?=development"),
    "annotated": ({"train": "labeled", "validation": "unlabeled", "test": "test"}, "test=test,?=labeled,?=unlabeled"),
    "code": ({"train": "tr", "validation": "va", "test": "te"}, "test=te,train=tr,validation=va"),
    "zero_shot": ({"train": "seen", "validation": "seen", "test": "unseen"}, "?=seen,?=unseen"),
    "cv_fold": ({"train": 0, "validation": 3, "test": 4}, "?=0,?=3,?=4"),
}


@pytest.mark.parametrize("name", VALUES)
def test_a_column_with_words_for_splits_among_others_is_asked_about(home, name):
    code, pairs = VALUES[name]
    table(home, [(*row[:3], code[row[3]]) for row in with_splits()], [*COLUMNS, name.strip("'")])
    message = refused("pets")
    assert f"--split {name} --split-values" in message
    assert pairs in message
    main(["pets", "--split", "none"])
    assert load_config("config/pets.yaml").datasets["pets"].held_out.test == 0.2


OTHER = {
    "vehicle": {"train": "train", "validation": "bus", "test": "car"},
    "language": {"train": "en", "validation": "te", "test": "tr"},
    "quality": {"train": "valid", "validation": "valid", "test": "invalid"},
}


@pytest.mark.parametrize("name", OTHER)
def test_a_column_of_something_else_is_no_split(home, name, capsys):
    table(home, [(*row[:3], OTHER[name][row[3]]) for row in with_splits()], [*COLUMNS, name])
    main(["pets"])
    assert "the table has no split" in capsys.readouterr().out


def test_floats_say_yes_and_no(home):
    table(home, [(*row[:3], float(row[3] == "test")) for row in with_splits()], [*COLUMNS, "is_test"])
    main(["pets"])
    assert Counter(indexed(home)["split"])["test"] == WHO["test"]


@pytest.mark.parametrize("form", ["pets_{}/{}", "images_{}/{}", "pictures/{}_{}"])
def test_words_in_names_of_folders_and_images_are_asked_about_with_the_answer(home, form):
    folder = home / "data/pets"
    lines = []
    for number, (name, label, attribute, split) in enumerate(with_splits()):
        path = form.format(split, name)
        write(folder / path, png(number))
        lines.append((path, label, attribute))
    pd.DataFrame(lines, columns=COLUMNS).to_csv(folder / "labels.csv", index=False)
    main(["pets", *answer(refused("pets"))])
    assert found(home) == EXPECTED


def test_a_class_that_is_called_as_a_split_is_none(home):
    folder = home / "data/pets"
    for number, (name, label, attribute) in enumerate(ROWS):
        write(folder / {"cat": "train_station"}.get(label, label) / attribute / name, png(number))
    main(["pets"])
    assert "train_station" in set(indexed(home)["label"])


FILES = ["train.txt", "ImageSets/Main/test.txt", "splits.json", "split.xlsx", "splits/train.csv", "test_ids.npy"]


def class_folders(folder: Path, top: str = "") -> None:
    for number, (name, label, attribute) in enumerate(ROWS):
        write(folder / top / label / attribute / name, png(number))


@pytest.mark.parametrize("file", FILES)
def test_files_beside_class_folders_that_are_called_as_splits_are_asked_about(home, file, capsys):
    class_folders(home / "data/pets")
    write(home / "data/pets" / file, b"")
    message = refused("pets")
    assert f"data/pets/{file}: does this file state a split?" in message
    main(["pets", "--split", "none"])
    assert "the folders say no split: a seeded order" in capsys.readouterr().out


def test_files_beside_the_one_folder_of_an_archive_are_asked_about(home):
    class_folders(home / "data/pets", "images")
    write(home / "data/pets/train.txt", b"")
    assert "data/pets/train.txt: does this file state a split?" in refused("pets")


@pytest.mark.parametrize("top", ["train", "train_val2018"])
def test_files_beside_the_one_folder_of_a_split_or_of_two_are_asked_about(home, top, capsys):
    class_folders(home / "data/pets", top)
    write(home / "data/pets/val2018.json", b"")
    message = refused("pets")
    assert "data/pets/val2018.json: does this file state a split?" in message
    assert ("--split split_of_folder for that of the folders of the images alone" in message) == (top == "train")
    if top == "train":
        main(["pets", "--split", "split_of_folder"])
        assert "by the folders of the images, no image is for the validation or the test" in capsys.readouterr().out


def test_an_archive_beside_images_may_hold_a_split(home):
    class_folders(home / "data/pets", "train")
    write(home / "data/pets/test.zip", b"")
    assert "data/pets: is a split in test.zip? Nothing is read from there. Unpack it" in refused("pets")


def test_archives_and_nothing_else_are_to_be_unpacked(home):
    write(home / "data/pets/more/a.zip", b"")
    write(home / "data/pets/b.tar.gz", b"")
    assert "Unpack b.tar.gz, more/a.zip first" in refused("pets")


def test_files_beside_a_table_without_a_split_are_asked_about_and_not_beside_one_with(home):
    folder = table(home, ROWS, COLUMNS)
    write(folder / "split.csv", b"path,split\n")
    assert "data/pets/split.csv: does this file state a split?" in refused("pets")
    table(home)
    main(["pets"])
    assert found(home) == EXPECTED


def test_other_columns_of_images_and_images_without_a_row_are_told(home, capsys):
    rows = [(f"images/{name}", f"photos/{name}", *rest) for name, *rest in with_splits()]
    folder = table(home, rows, ["image", "rgb", "label", "attribute", "split"])
    for number, (name, *_) in enumerate(ROWS):
        write(folder / "photos" / name, png(number))
    main(["pets"])
    told = capsys.readouterr().out
    assert "those of the column image; the files of rgb are there as well, else --image rgb" in told
    assert f"{len(ROWS)} image(s) in data/pets have no row in metadata.csv and are not read, first photos/" in told


def test_what_was_found_is_told_also_where_the_configuration_is_not_ready(home, capsys, monkeypatch):
    from fairdream.errors import UserError
    from fairdream.planning import preflight

    def refuse(config):
        raise UserError("no")

    table(home)
    monkeypatch.setattr(preflight, "check", refuse)
    assert "is not ready to run" in refused("pets")
    told = capsys.readouterr().out
    assert "cat-grass" in told


def test_no_configuration_is_written_outside_of_a_clone(home):
    (home / "Snakefile").unlink()
    assert "No FairDream workflow in" in refused("pets")


# train, validation and test, in an image's path
SHORT = [("tr", "va", "te"), ("imagesTr", "imagesVa", "imagesTs"), ("trains", "vals", "tests"), ("cv0", "cv1", "cv2")]


@pytest.mark.parametrize(
    ("words", "form"),
    # numbers in images' own names are theirs
    [(words, "{split}/{name}") for words in [*SHORT, ("split0", "split1", "split2")]]
    + [(words, "{split}_{name}") for words in SHORT[:3]],
)
def test_short_or_numbered_words_are_asked_about_where_every_image_has_one(home, words, form):
    own = dict(zip(("train", "validation", "test"), words, strict=True))
    rows = [(form.format(split=own[split], name=name), *more) for name, *more, split in with_splits()]
    folder = table(home, rows, COLUMNS)
    for (name, *_), (new, *_) in zip(ROWS, rows, strict=True):
        target = folder / "images" / new
        target.parent.mkdir(exist_ok=True)
        (folder / "images" / name).rename(target)
    assert "which images are for training and which for the test is not certain" in refused("pets")


@pytest.mark.parametrize("words", [*SHORT[:2], SHORT[3]])
@pytest.mark.parametrize("form", ["{split}/{label}", "{label}/{split}"])
def test_folders_of_classes_that_say_splits_together_are_asked_about(home, words, form):
    own = dict(zip(("train", "validation", "test"), words, strict=True))
    for number, (name, label, _, split) in enumerate(with_splits()):
        write(home / "data/pets" / form.format(split=own[split], label=label) / name, png(number))
    assert "are these folders splits, or classes?" in refused("pets")


def test_tests_beside_train_is_the_test(home):
    for number, (name, label, attribute, split) in enumerate(with_splits()):
        folder = {"test": "tests"}.get(split, split)
        write(home / "data/pets" / folder / label / attribute / name, png(number))
    main(["pets"])
    assert found(home) == EXPECTED


def test_a_folder_of_a_split_in_capitals_beside_one_that_is_not_may_hold_copies(home):
    class_folders(home / "data/pets", "train")
    class_folders(home / "data/pets", "Train")
    class_folders(home / "data/pets", "test")
    assert "'train' stands for train, as does 'Train'" in refused("pets")


def test_images_without_a_row_in_folders_of_splits_are_asked_about(home):
    folder = table(home, ROWS, COLUMNS)
    for name, *_, split in with_splits():
        link = folder / split / name
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(folder / "images" / name)
    message = refused("pets")
    assert (
        f"do test, train, validation state a split? {len(ROWS)} image(s) there have no row in metadata.csv" in message
    )
    main(["pets", "--split", "none"])


@pytest.mark.parametrize("file", ["meta/labels.csv", "cat/labels.csv", "labels.xlsx", "labels.csv.gz"])
def test_a_table_beside_class_folders_is_asked_about_whatever_it_is_called(home, file):
    class_folders(home / "data/pets", "")
    write(home / "data/pets" / file, b"path,label,split\n")
    assert f"data/pets/{file}: does this file state a split?" in refused("pets")
    main(["pets", "--split", "none"])


def test_images_that_are_called_as_copies_are_told(home, capsys):
    class_folders(home / "data/pets", "")
    image = home / "data/pets/cat/grass/0.png"
    for name in (
        "0 (1).png",
        "0 - Copy.png",
        "0 (Ann's conflicted copy 2024-03-01).png",
        "Copy of 0.png",
        "copybook.png",
    ):
        write(image.with_name(name), png(900))
    main(["pets"])
    assert "4 image(s) are called as copies of others are, first cat/grass/0 (" in capsys.readouterr().out
