"""Of several columns that could be the image, the usual one is taken, or the message asks; no mask is trained on."""

import io
from collections import Counter
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from own_data import EXPECTED, found, indexed, main, png, refused, table, with_splits, write
from PIL import Image, PngImagePlugin

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
COLUMNS = ("path", "label", "attribute", "split")
MASKS = 5000  # the number from which masks' pixels count


def structs(first: int) -> pa.Array:
    return pa.array([{"bytes": png(first + n), "path": None} for n in range(len(with_splits()))], IMAGE)


def stored(home: Path, **images: pa.Array) -> Path:
    """A Parquet file with labels, and some columns before them."""
    rows = with_splits()
    columns = {name: [row[number] for row in rows] for number, name in enumerate(COLUMNS) if number}
    (home / "data/pets").mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({**images, **columns}), home / "data/pets/pets.parquet")
    return home / "data/pets"


def contents(home: Path) -> list[bytes]:
    return [Path("data/pets", path).read_bytes() for path in indexed(home)["path"]]


@pytest.mark.parametrize("name", ["image", "img", "Image", "photo"])
def test_a_mask_before_the_image_is_not_taken_for_it(home, name, capsys):
    stored(home, mask=structs(MASKS), **{name: structs(0)})
    main(["pets"])
    assert found(home) == EXPECTED
    assert set(contents(home)) == {png(n) for n in range(len(with_splits()))}
    assert f"the images are those of the column {name}; mask is not read, else --image" in capsys.readouterr().out


def test_the_column_asked_for_is_unpacked(home):
    stored(home, image=structs(0), thumbnail=structs(MASKS))
    main(["pets", "--image", "thumbnail"])
    assert contents(home)[0] == png(MASKS)
    assert "no column img of images (--image img); Columns with images: image, thumbnail" in refused(
        "pets", "--image", "img", "--force"
    )


def test_two_columns_of_images_without_a_usual_name_are_asked_about(home):
    stored(home, left=structs(0), right=structs(MASKS))
    assert "say it with --image. Columns with images: left, right" in refused("pets")
    assert not Path("data/pets/unpacked").exists()
    main(["pets", "--image", "left"])
    assert contents(home)[0] == png(0)


def test_two_usual_names_are_asked_about(home):
    stored(home, image=structs(0), img=structs(MASKS))
    assert "Columns with images: image, img" in refused("pets")


def test_a_lone_column_of_images_is_taken_whatever_it_is_called_and_told(home, capsys):
    stored(home, scan=structs(0))
    main(["pets"])
    assert found(home) == EXPECTED
    assert "the images are those of the column scan, the only one with any" in capsys.readouterr().out


def test_bytes_that_are_no_images_are_passed_over_where_another_column_has_a_usual_name(home, capsys):
    count = len(with_splits())
    stored(home, image=pa.array([b"no image"] * count), photo=structs(0))
    main(["pets"])
    assert contents(home)[0] == png(0)
    assert "image has no bytes that an image can be read from, and is not read" in capsys.readouterr().out


def test_images_in_plain_binary_columns(home):
    data = pa.array([png(n) for n in range(len(with_splits()))], pa.binary())
    stored(home, sha=pa.array([b"\0" * 8] * len(data), pa.binary()), image=data)
    main(["pets"])
    assert found(home) == EXPECTED
    assert contents(home)[0] == png(0)


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary_view()], ids=str)
def test_images_in_a_column_of_any_kind_of_bytes_beside_others(home, kind, capsys):
    data = pa.array([png(n) for n in range(len(with_splits()))], kind)
    stored(home, image=data, mask=pa.array([png(MASKS)] * len(data), kind), sha=pa.array([b"\0" * 8] * len(data), kind))
    main(["pets"])
    assert found(home) == EXPECTED
    assert contents(home)[0] == png(0)
    assert list(pd.read_csv("data/pets/fairdream.csv")) == ["label", "attribute", "split", "path"]


TYPED = {
    "whole numbers": {"width": pa.array([32] * 99, pa.int32())},
    "numbers, some null": {"age": pa.array([1.5, None, 3] * 33)},
    "yes and no, some null": {"seen_twice": pa.array([True, None, False] * 33)},
    "nothing": {"note": pa.nulls(99)},
    "days": {"day": pa.array([0] * 99, pa.date32())},
}


@pytest.mark.parametrize("kind", TYPED)
def test_columns_of_any_type_beside_images_are_text(home, kind):
    count = len(with_splits())
    stored(home, image=structs(0), **{name: column.slice(0, count) for name, column in TYPED[kind].items()})
    main(["pets"])
    assert found(home) == EXPECTED


@pytest.mark.parametrize("name", ["split", "fold", "is_test"])
def test_numbers_beside_images_that_say_a_split_are_read_or_asked_about_also_where_some_are_null(home, name):
    code = {"split": ("train", "test"), "fold": (1, 2), "is_test": (False, True)}[name]
    said = [code[row[3] == "test"] for row in with_splits()]
    folder = stored(home, image=structs(0))
    whole = pq.read_table(folder / "pets.parquet").drop_columns(["split"])
    for own in (said, [None, *said[1:]]):
        pq.write_table(whole.append_column(name, pa.array(own)), folder / "pets.parquet")
        if name == "fold" or own[0] is None:
            assert f"--split {name} --split-values" in refused("pets", "--force")
        else:
            main(["pets"])
            assert Counter(indexed(home)["split"])["test"] == said.count(code[1])


@pytest.mark.parametrize("kind", ["bytes", "a list", "a struct"])
def test_a_split_in_nested_cells_beside_images_is_read(home, kind, capsys):
    folder = stored(home, image=structs(0), sha=pa.array([b"\0" * 8] * len(with_splits()), pa.binary()))
    said = [row[3] for row in with_splits()]
    cells = {
        "bytes": ("split", [split.encode() for split in said]),
        "a list": ("split", [[split] for split in said]),
        "a struct": ("meta", [{"split": split} for split in said]),
    }
    name, own = cells[kind]
    whole = pq.read_table(folder / "pets.parquet").drop_columns(["split"])
    pq.write_table(whole.append_column(name, pa.array(own)), folder / "pets.parquet")
    main(["pets"])
    assert found(home) == EXPECTED
    assert "not read, as their cells are lists or the like: sha" in capsys.readouterr().out


FOLDERS = ["split={}/part-0", "partition={}/label=x/part-0", "pets_{}/0", "default/partial-{}/0000", "pets_{}"]


@pytest.mark.parametrize("form", FOLDERS)
def test_names_of_folders_and_files_with_images_say_the_split(home, form):
    folder = stored(home, image=structs(0))
    whole = pq.read_table(folder / "pets.parquet")
    (folder / "pets.parquet").unlink()
    for split in ("train", "validation", "test"):
        file = folder / f"{form.format(split)}.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(whole.filter(pa.compute.equal(whole["split"], split)).drop_columns(["split"]), file)
    main(["pets"])
    assert found(home) == EXPECTED


@pytest.mark.parametrize("form", ["fold={}/0", "{}"])
def test_names_of_folders_and_files_with_images_that_are_not_certain_are_asked_about(home, form):
    folder = stored(home, image=structs(0))
    whole = pq.read_table(folder / "pets.parquet").drop_columns(["split"])
    (folder / "pets.parquet").unlink()
    for number, name in enumerate(("tr", "te")):
        file = folder / f"{form.format(name)}.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(whole.slice(30 * number, 30), file)
    assert "split_of_file (the names of the tables or of their folders)" in refused("pets")


def test_numbers_beside_images_are_classes(home):
    folder = stored(home, image=structs(0))
    whole = pq.read_table(folder / "pets.parquet")
    labels = pa.array([row[1] == "cat" for row in with_splits()])
    pq.write_table(whole.set_column(whole.column_names.index("label"), "label", labels), folder / "pets.parquet")
    main(["pets"])
    assert set(indexed(home)["label"]) == {"label_false", "label_true"}


def test_an_image_with_much_text_in_plain_bytes_is_one(home):
    told = PngImagePlugin.PngInfo()
    told.add_text("Comment", "a" * 2 * 2**20, zip=True)
    written = io.BytesIO()
    Image.new("RGB", (8, 8)).save(written, "PNG", pnginfo=told)
    stored(home, image=pa.array([written.getvalue()] * len(with_splits()), pa.binary()))
    main(["pets"])
    assert found(home) == EXPECTED


def test_an_index_that_pandas_stored_beside_images_is_none_of_its_columns(home):
    frame = pd.DataFrame(with_splits(), columns=COLUMNS).assign(image=[png(n) for n in range(len(with_splits()))])
    (home / "data/pets").mkdir(parents=True)
    frame.drop(columns="path").sample(frac=1, random_state=0).to_parquet(home / "data/pets/pets.parquet")
    main(["pets"])
    assert found(home) == EXPECTED
    assert list(pd.read_csv("data/pets/fairdream.csv")) == ["label", "attribute", "split", "path"]


def test_a_column_of_paths_beside_masks(home):
    names = pa.array([f"images/{row[0]}" for row in with_splits()])
    stored(home, mask=structs(MASKS), path=names)
    for number, row in enumerate(with_splits()):
        write(home / "data/pets/images" / row[0], png(number))
    assert "Columns with images: mask; text, which may name files: path" in refused("pets")
    main(["pets", "--image", "path"])
    assert found(home) == EXPECTED
    assert contents(home)[0] == png(0)


def test_lists_of_images_are_no_image(home):
    lists = pa.array([[{"bytes": png(0), "path": None}]] * len(with_splits()), pa.list_(IMAGE))
    stored(home, images=lists)
    assert "each row of images is a list of images" in refused("pets")
    assert "each row of images is a list of images" in refused("pets", "--image", "images")
    stored(home, images=lists, image=structs(0))
    main(["pets"])
    assert found(home) == EXPECTED


def test_data_sets_in_folders_of_their_own_are_not_mixed(home):
    for name in ("small", "large"):
        folder = stored(home, image=structs(0 if name == "small" else MASKS))
        (folder / name).mkdir()
        (folder / "pets.parquet").rename(folder / name / "train-00000-of-00001.parquet")
    message = refused("pets")
    assert "choose: --folder data/pets/large, --folder data/pets/small" in message
    main(["pets", "--folder", "data/pets/small"])
    assert found(home) == EXPECTED


def test_a_lone_configuration_with_a_folder_for_each_split(home):
    whole = pq.read_table(stored(home, image=structs(0)) / "pets.parquet")
    Path("data/pets/pets.parquet").unlink()
    for split in ("train", "validation", "test"):
        rows = whole.filter(pa.compute.equal(whole["split"], split)).drop_columns(["split"])
        Path("data/pets/default", split).mkdir(parents=True)
        pq.write_table(rows, f"data/pets/default/{split}/0000.parquet")
    main(["pets"])
    assert found(home) == EXPECTED


def test_a_shard_that_is_lacking_is_told(home):
    folder = stored(home, image=structs(0))
    (folder / "pets.parquet").rename(folder / "train-00000-of-00002.parquet")
    assert "of 2 shards 1 are there (train-00000-of-00002.parquet)" in refused("pets")


def test_a_column_that_contradicts_the_files_names(home):
    folder = stored(home, image=structs(0))
    (folder / "pets.parquet").rename(folder / "train.parquet")
    main(["pets"])  # a file for all, and its column says more
    assert found(home) == EXPECTED
    (folder / "train.parquet").rename(folder / "train-00000-of-00001.parquet")
    pq.write_table(
        pq.read_table(folder / "train-00000-of-00001.parquet").slice(0, 3), folder / "test-00000-of-00001.parquet"
    )
    assert "They contradict each other" in refused("pets", "--force")


def test_of_columns_of_paths_the_usual_one_is_taken(home):
    rows = [(f"masks/{n}", n, f"small/{n}", *rest) for n, *rest in with_splits()]
    table(home, rows, ("mask_path", "image", "thumbnail", *COLUMNS[1:]))
    for folder in ("masks", "small"):
        for row in with_splits():
            write(home / "data/pets" / folder / row[0], png(MASKS))
    main(["pets"])
    assert found(home) == EXPECTED
    assert png(MASKS) not in contents(home)


def test_of_two_usual_columns_the_one_whose_files_are_there(home, capsys):
    rows = [(f"raw/{n}", n, *rest) for n, *rest in with_splits()]
    table(home, rows, ("file_name", "image", *COLUMNS[1:]))
    main(["pets"])
    assert found(home) == EXPECTED
    assert "those of the column image: files that file_name names are not there" in capsys.readouterr().out
    for row in with_splits():
        write(home / "data/pets/raw" / row[0], png(MASKS))
    assert "say --image file_name or --image image" in refused("pets", "--force")


def test_a_usual_column_whose_files_are_not_there_while_anothers_are(home):
    rows = [(f"{number}.jpg", *row) for number, row in enumerate(with_splits())]
    table(home, rows, ("image", "png", *COLUMNS[1:]))
    assert "the files that the column image names, such as 0.jpg, are not there; those of png are" in refused("pets")
    main(["pets", "--image", "png"])
    assert found(home) == EXPECTED


def test_images_that_lie_in_two_folders_under_the_same_names(home, capsys):
    table(home)
    for row in with_splits():
        write(home / "data/pets/annotations" / row[0], png(MASKS))
    main(["pets"])  # `images` is a usual name
    assert png(MASKS) not in contents(home)
    Path("data/pets/images").rename("data/pets/pictures")
    assert "which one has the images: --images annotations or --images pictures" in refused("pets", "--force")
    main(["pets", "--images", "pictures", "--force"])
    assert png(MASKS) not in contents(home)
    assert "--images none: no such folder" in refused("pets", "--images", "none", "--force")


def test_paths_that_fit_several_files_are_refused(home):
    rows = with_splits()
    table(home, rows)
    frame = pd.DataFrame(rows, columns=COLUMNS)
    for number, row in enumerate(rows):
        for side in ("a", "b") if number < 2 else ("ab"[number % 2],):
            write(home / "data/pets" / side / row[0], png(number))
    for path in Path("data/pets/images").iterdir():
        path.unlink()
    frame.to_csv("data/pets/metadata.csv", index=False)
    assert "is in several folders (a/" in refused("pets")
