"""Data of one's own that can be read in two ways, or not: what is planted, the words of the message, the exit."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from own_data import ROOT, ROWS, main, png, table, with_splits, write
from refusals import Table, check

COLUMNS = ("path", "label", "attribute", "split")
HEADER = ",".join(COLUMNS)
IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
CASES = Table()


def new_dataset(folder: Path, *options: str, name: str = "pets") -> Callable:
    def run() -> None:
        (folder / "config").mkdir()
        (folder / "profiles").mkdir()
        (folder / "Snakefile").touch()
        shutil.copy(ROOT / "config.yaml", folder)
        os.chdir(folder)
        main([name, *options])

    return run


def rows(name: str, *words: str, options=(), columns=COLUMNS, files=("labels.csv",), edit=with_splits) -> None:
    """Add a row: images and a table of them with other rows, columns or names."""

    @CASES.add(name, *words)
    def plant(folder: Path) -> Callable:
        table(folder, edit(), columns, files=files)
        return new_dataset(folder, *options)


def lines(name: str, *words: str, header=HEADER, form="{},{},{},{}", end="", options=()) -> None:
    """Add a row: images and a table written by hand."""

    @CASES.add(name, *words)
    def plant(folder: Path) -> Callable:
        written = [header, *(form.format(*row) for row in with_splits())]
        (table(folder, files=[]) / "labels.csv").write_text("\n".join(written) + f"\n{end}")
        return new_dataset(folder, *options)


def parquet(name: str, *words: str, files=("pets.parquet",), options=(), metadata=None, **columns) -> None:
    """Add a row: Parquet files with images in them."""

    @CASES.add(name, *words)
    def plant(folder: Path) -> Callable:
        frame = pd.DataFrame(with_splits(), columns=COLUMNS)
        made = {key: pa.array([value] * len(frame), kind) for key, (value, kind) in columns.items()}
        stored = pa.table({**made, **{key: frame[key] for key in ("label", "attribute")}})
        for file in files:
            path = folder / "data/pets" / file
            path.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(stored.replace_schema_metadata(metadata), path)
        return new_dataset(folder, *options)


STRUCT = ({"bytes": png(0), "path": None}, IMAGE)
LIST = ([{"bytes": png(0), "path": None}], pa.list_(IMAGE))
coded = {"train": "train", "validation": "holdout", "test": "test"}

rows(
    "a split column with an unknown word",
    "which images are for training and which for the test is not certain",
    "data/pets/labels.csv",
    "'holdout' is no split",
    '--split split --split-values "',
    edit=lambda: [(*row[:3], coded[row[3]]) for row in with_splits()],
)
rows("values of a split in another form", "says no split of a value", "train:0", options=["--split-values", "train:0"])
rows(
    "a value that no split has",
    "--split-values names",
    "'rest', which split has not",
    options=["--split-values", "test=rest"],
)
rows(
    "values of a split where there is none",
    "nothing in it looks like a split",
    options=["--split-values", "test=rest"],
    columns=COLUMNS[:3],
    edit=lambda: ROWS,
)
rows(
    "values of no split",
    "--split none takes no split of the table",
    options=["--split", "none", "--split-values", "test=a"],
)
rows("images of the test alone", "names no training images", edit=lambda: [(*row[:3], "test") for row in with_splits()])
rows("two tables", "has several tables", "a.csv, b.csv", "--table", files=("a.csv", "b.csv"))
rows("a lone table of the test", "there is no table of training images", "--split none", files=("test.csv",))
rows(
    "an image in two splits",
    "stands twice, for",
    "cg00.png",
    "train and for test",
    edit=lambda: [*with_splits(), (*with_splits()[0][:3], "test")],
)
rows("no usual name", "no column has a usual name", "--label", "species: 3", columns=("path", "species", *COLUMNS[2:]))
rows(
    "files of two columns",
    "name files that are there; say",
    "--image path or --image image",
    columns=(*COLUMNS, "image"),
    edit=lambda: [(*row, "cg01.png") for row in with_splits()],
)
rows(
    "files of another column",
    "are not there; those of",
    "--image picture",
    columns=("picture", *COLUMNS[1:], "image"),
    edit=lambda: [(*row, "a.png") for row in with_splits()],
)
rows("a folder of images that is not there", "no such folder in", "--images none", options=["--images", "none"])
lines("a column twice", "two columns are called", "'label'", header="path,label,attribute,label")
lines("columns that differ in case", "differ in case alone; say", "--label", header="path,label,attribute,Label")
lines("marks at the ends of rows", "more cells than its first line has names", form="{},{},{},{},")
lines("Excel's own line", "which Excel alone understands", "'sep=,'", header="sep=,\npath,label,attribute,split")
lines("semicolons", "it has one column", "';'; save it with commas", header="path;label", form="{};{}")
lines("a row without its image", "the cell of its image is empty", "row 94", end=",cat,grass,train\n")
lines(
    "a row with an address",
    "is an address, and images are not fetched",
    "labels.csv: row 94: path: 'https://host/a.png?signature=0f",
    end=f"https://host/a.png?signature={'0f' * 150},cat,grass,train\n",
)
lines("a row with a text", "a file's has 255 at most", "row 94: path: 'é", end=f"{'é' * 130}.png,cat,grass,train\n")
rows("a long list of tables", "no such table", options=["--table", ",".join(f"table{n:03d}.csv" for n in range(40))])
rows(
    "a row without its class",
    "Fill the column in, remove their rows",
    "1 of 92 images have no label, first cg00.png",
    edit=lambda: [(ROWS[0][0], None, *with_splits()[0][2:]), *with_splits()[1:]],
)
parquet("two columns of images", "which column is the image is not certain", "left, right", left=STRUCT, right=STRUCT)
parquet("lists of images", "is a list of images", "images", images=LIST)
parquet(
    "lists of images without a type", "is a list of images", "images", images=([png(0)], pa.large_list(pa.binary()))
)
parquet(
    "bytes that no decoder opens, beside small copies",
    "no bytes that an image can be read from",
    "pets.parquet: image has",
    "Columns with images: thumbnail",
    image=(b"an AVIF or DICOM file", pa.binary()),
    thumbnail=STRUCT,
)
parquet(
    "lists of pixels",
    "no encoded image",
    "image has lists of numbers",
    image=([[0, 1]], pa.list_(pa.list_(pa.uint8()))),
)
parquet(
    "lists of pixels in a folder of data",
    "no encoded image",
    "pets/data/train-00000-of-00001.parquet: image has lists of numbers",
    files=("data/train-00000-of-00001.parquet",),
    image=([[0, 1]], pa.list_(pa.list_(pa.uint8()))),
)
parquet(
    "lists of pixels that were asked for",
    "no encoded image",
    "images has lists of numbers",
    options=["--image", "images"],
    images=([0.5], pa.list_(pa.float32(), 1)),
)
parquet("a column without images", "of images (--image", "img", options=["--image", "img"], image=STRUCT)
parquet(
    "data sets in folders of their own",
    "has several data sets (configurations)",
    "--folder data/pets/a, --folder data/pets/b",
    files=("a/train.parquet", "b/train.parquet"),
    image=STRUCT,
)
parquet("a lost shard", "copy the others", "of 3 shards 1", files=("train-00000-of-00003.parquet",), image=STRUCT)
parquet(
    "Parquet of which some say a split",
    "say a split, those of others do not",
    "more.parquet",
    files=("train.parquet", "more.parquet"),
    image=STRUCT,
)
parquet(
    "a number beyond the classes' names",
    "classes alone",
    "number is 9",
    image=STRUCT,
    number=(9, pa.int64()),
    metadata={"huggingface": '{"info": {"features": {"number": {"names": ["a", "b"]}}}}'},
)
parquet(
    "Parquet with a schema that is none",
    "cannot be read as Parquet",
    "pets.parquet",
    image=STRUCT,
    metadata={"huggingface": '{"info": '},
)


@CASES.add("a class that is a list", "is a list or the like", "tags", "one value per image is needed")
def _(folder: Path) -> Callable:
    frame = pd.DataFrame(with_splits(), columns=COLUMNS)
    frame.assign(tags=[["a", "b"]] * len(frame)).to_parquet(table(folder, files=[]) / "labels.parquet")
    return new_dataset(folder, "--label", "tags")


@CASES.add(
    "images in two folders", "are in several folders; say which one", "--images annotations or --images pictures"
)
def _(folder: Path) -> Callable:
    data = table(folder)
    shutil.copytree(data / "images", data / "annotations")
    (data / "images").rename(data / "pictures")
    return new_dataset(folder)


@CASES.add("an image in two of several folders", "write its folder into the path", "cg00.png is in several folders")
def _(folder: Path) -> Callable:
    data = table(folder)
    for place in ("a", "b"):
        write(data / place / ROWS[0][0], png(0))
    (data / "images" / ROWS[0][0]).unlink()
    return new_dataset(folder)


@CASES.add("images at two depths", "say which one has the images", "--images thumbnails or --images full/part1")
def _(folder: Path) -> Callable:
    data = table(folder)
    shutil.copytree(data / "images", data / "full/part1")
    (data / "images").rename(data / "thumbnails")
    return new_dataset(folder)


def classes(name: str, *words: str, form: str) -> None:
    """Add a row: class folders that may be something else."""

    @CASES.add(name, *words)
    def plant(folder: Path) -> Callable:
        for number, (image, label, attribute, split) in enumerate(with_splits()):
            write(
                folder / "data/pets" / form.format(split=split, label=label, fold=number % 3) / attribute / image,
                png(number),
            )
        return new_dataset(folder)


classes(
    "folders with words for splits",
    "are these folders splits, or classes?",
    "pets_test, pets_train",
    form="pets_{split}",
)
classes("folders of folds", "are these folders splits, or classes?", "fold1", form="fold{fold}")


@CASES.add("a folder of all images beside one of copies", "is this the folder of all images, or a class?", "thumbs")
def _(folder: Path) -> Callable:
    for number, (image, label, *_) in enumerate(ROWS):
        for top in ("images", "thumbs"):
            write(folder / "data/pets" / top / label / image, png(number))
    return new_dataset(folder)


@CASES.add("a split that is a link", "are one file behind links", "test/cat/grass/cg00.png and train/cat/")
def _(folder: Path) -> Callable:
    for number, (image, label, attribute) in enumerate(ROWS):
        write(folder / "data/pets/test" / label / attribute / image, png(number))
    (folder / "data/pets/train").symlink_to("test")
    return new_dataset(folder)


@CASES.add("a class that is a link to another", "are one file behind links", "cat/grass/cg00.png and kitten/grass/")
def _(folder: Path) -> Callable:
    for number, (image, label, attribute) in enumerate(ROWS):
        write(folder / "data/pets" / label / attribute / image, png(number))
    (folder / "data/pets/kitten").symlink_to("cat")
    return new_dataset(folder)


@CASES.add("one number as two classes", "are one number", "labels.csv: label: '1.0' and '1'")
def _(folder: Path) -> Callable:
    codes = {"cat": "1", "dog": "1.0", "sea-lion": "2"}
    table(folder, [(name, codes[label], *more) for name, label, *more in with_splits()], files=["labels.csv"])
    return new_dataset(folder)


@CASES.add("a list of a split", "state a split? None is read from there", "data/pets/train.txt", "--split none")
def _(folder: Path) -> Callable:
    write(table(folder, ROWS, COLUMNS[:3]) / "train.txt", b"")
    return new_dataset(folder)


@CASES.add("a split in an archive", "Nothing is read from there. Unpack it", "is a split in test.zip?", "--split none")
def _(folder: Path) -> Callable:
    write(table(folder, ROWS, COLUMNS[:3]) / "test.zip", b"")
    return new_dataset(folder)


@CASES.add(
    "links in folders of splits", "and are not read. Write a table with a column", "do test, train state a split?"
)
def _(folder: Path) -> Callable:
    data = table(folder, ROWS, COLUMNS[:3])
    for place, name in (("train", ROWS[0][0]), ("test", ROWS[1][0])):
        write(data / place / name, png(0))
    return new_dataset(folder)


@CASES.add(
    "rows without an image", "fill them in, remove them, or say which other column", "rows have no path", "thumb"
)
def _(folder: Path) -> Callable:
    data = table(folder, files=[])
    frame = pd.DataFrame(with_splits(), columns=COLUMNS)
    frame = frame.assign(thumb="images/" + frame["path"], path=["", *frame["path"][1:]])
    frame.to_csv(data / "labels.csv", index=False)
    return new_dataset(folder)


@CASES.add("a split of lists", "Its cells are lists or the like, and not read", "does split state a split?")
def _(folder: Path) -> Callable:
    frame = pd.DataFrame(with_splits(), columns=COLUMNS)
    cells = [["train", "test"] for _ in range(len(frame))]
    frame.assign(split=cells).to_parquet(table(folder, files=[]) / "labels.parquet")
    return new_dataset(folder)


@CASES.add("the name of a run of the workflow", "commands or files of the workflow have this name", "paper")
def _(folder: Path) -> Callable:
    table(folder)
    return new_dataset(folder, name="paper")


@CASES.add("two tables in the folder of a split", "leave one of them", "metadata.csv and metadata.jsonl")
def _(folder: Path) -> Callable:
    for name in ("metadata.csv", "metadata.jsonl"):
        write(folder / "data/pets/train" / name, b"\n")
    write(folder / "data/pets/test/a.png", png(0))
    return new_dataset(folder)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_message_and_the_exit(case, tmp_path):
    check(case, tmp_path)
