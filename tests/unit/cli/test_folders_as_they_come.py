"""Class folders, tables and zips as cameras, browsers and systems leave them: what a run reads is what was meant."""

import shutil
import unicodedata
import zipfile
from collections import Counter
from pathlib import Path

import pytest
from own_data import EXPECTED, ROWS, found, indexed, main, png, refused, table, with_splits, write
from test_new_dataset import class_folders


def linked_class(folder: Path) -> str:
    """A class folder is a link to another disk."""
    outside = folder.parents[1] / "disk/dogs"
    outside.parent.mkdir()
    (folder / "train/dog").rename(outside)
    (folder / "train/dog").symlink_to(outside)
    return ""


def linked_images(folder: Path) -> str:
    """Each image is a link into a folder of all, as sampling scripts leave them."""
    store = folder.parents[1] / "store"
    store.mkdir()
    for number, path in enumerate(sorted(folder.rglob("*.png"))):
        path.rename(store / f"{number}.bin")
        path.symlink_to(store / f"{number}.bin")
    return ""


def other_endings(folder: Path) -> str:
    """The images have the endings that cameras and browsers give, and some are of no format that is read."""
    endings = (".Png", ".JPEG", ".jfif", ".JPG", ".jpe", ".TIFF", ".mpo", ".PNG")
    for number, path in enumerate(sorted(folder.rglob("*.png"))):
        path.rename(path.with_suffix(endings[number % len(endings)]))
    for name in ("train/cat/grass/a.heic", "train/cat/grass/b.HEIC", "test/dog/snow/c.npy"):
        write(folder / name, b"none")
    return "Note: data/pets: passed over, as no images: 2 .heic, 1 .npy."


def leftovers(folder: Path) -> str:
    """What macOS, Windows, Synology and notebooks leave behind."""
    images = sorted(folder.rglob("*.png"))
    for path in images:
        write(path.with_name(f"._{path.name}"), b"AppleDouble")
        write(folder / "__MACOSX" / path.relative_to(folder).with_name(f"._{path.name}"), b"AppleDouble")
    for name in (".DS_Store", "train/Thumbs.db", "train/cat/desktop.ini", "._fairdream.csv", "._metadata.csv"):
        write(folder / name, b"none")
    for name in (".ipynb_checkpoints/a.png", "train/@eaDir/b.png/c.jpg", "train/cat/.cache/x/d.png"):
        write(folder / name, png(1))
    kinds = "1 .DS_Store, 1 .cache/, 1 .ipynb_checkpoints/, 1 @eaDir/, 1 Thumbs.db, 1 __MACOSX/, 1 desktop.ini"
    return f"Note: data/pets: passed over, as no images: {len(images) + 2} ._*, {kinds}."


def empty_folders(folder: Path) -> str:
    for name in ("train/bird", "train/cat/sky", "test/fish/deep/er"):
        (folder / name).mkdir(parents=True)
    write(folder / "val/mouse/notes.txt", b"later")
    return "Note: no image is in test/fish, train/bird, train/cat/sky, val/mouse."


ODDITIES = [linked_class, linked_images, other_endings, leftovers, empty_folders]


@pytest.mark.parametrize("oddity", ODDITIES, ids=lambda oddity: oddity.__name__)
def test_class_folders_as_they_come(home, capsys, oddity):
    class_folders(home / "data/pets")
    told = oddity(home / "data/pets")
    main(["pets"])
    assert found(home) == EXPECTED
    printed = capsys.readouterr().out
    assert told in printed
    assert ("passed over" in printed) == ("passed over" in told or oddity is empty_folders)


@pytest.mark.parametrize("oddity", [linked_images, leftovers], ids=lambda oddity: oddity.__name__)
def test_a_table_s_images_as_they_come(home, capsys, oddity):
    told = oddity(table(home) / "images")
    main(["pets"])
    assert found(home) == EXPECTED
    assert told.replace("data/pets:", "data/pets/images:") in capsys.readouterr().out


def test_names_of_folders_may_have_any_unicode_form(home):
    """Each class is written in one form everywhere, here as macOS writes it; its table says so too."""
    class_folders(home / "data/pets")
    for path in (home / "data/pets").glob("*/*/snow"):
        path.rename(path.with_name(unicodedata.normalize("NFD", "blé")))
    main(["pets"])
    counts = Counter(indexed(home)["attribute"])
    assert sorted(counts.values()) == sorted(Counter(attribute for _, _, attribute in ROWS).values())


def test_a_table_s_images_in_another_unicode_form_are_those_images(home):
    accented = [(f"{'é' * (y == 'cat')}{n}", y, a, s) for n, y, a, s in with_splits()]
    folder = table(home, accented)
    for name, *_ in accented:
        disk = unicodedata.normalize("NFD", name)
        if disk != name:
            (folder / "images" / name.removeprefix("é")).rename(folder / "images" / disk)
    main(["pets"])
    read = indexed(home)
    assert Counter(zip(read["label"], read["attribute"], read["split"], strict=True)) == EXPECTED
    assert all(Path(own, path).is_file() for own, path in zip(read["folder"], read["path"], strict=True))
    # the id is what the table says: a list of one's own for a bias says the same
    assert set(read["id"]) == {f"images/{name}" for name, *_ in accented}


def test_a_lone_folder_called_as_a_split_is_a_class(home, capsys):
    names = {"cat": "car", "dog": "bus", "sea-lion": "train"}
    for number, (name, label, attribute) in enumerate(ROWS):
        write(home / "data/pets" / names[label] / attribute / name, png(number))
    main(["pets"])
    assert set(indexed(home)["label"]) == {"car", "bus", "train"}
    assert "the folder train is taken for a class" in capsys.readouterr().out


def zipped(home: Path, top: str, *more: tuple[str, bytes]) -> None:
    class_folders(home / "made")
    with zipfile.ZipFile(home / "pets.zip", "w") as file:
        for path in sorted((home / "made").rglob("*.png")):
            file.write(path, f"{top}{path.relative_to(home / 'made').as_posix()}")
        for name, content in more:
            file.writestr(name, content)
    shutil.rmtree(home / "made")


@pytest.mark.parametrize("top", ["pets/", "Pictures of pets/", ""])
def test_a_zip_of_macos(home, top, capsys):
    more = [("__MACOSX/._pets", b"x"), (f"__MACOSX/{top}train/cat/grass/._cg01.png", b"x"), ("._notes", b"x")]
    zipped(home, top, *more, (f"{top}.DS_Store", b"x"), (f"{top}train/._cat", b"x"))
    main(["pets", "--folder", "pets.zip"])
    assert found(home) == EXPECTED
    # tidied up since: still what was unpacked
    for path in [*Path("data/pets").rglob("._*"), *Path("data/pets").rglob(".DS_Store")]:
        path.unlink()
    shutil.rmtree("data/pets/__MACOSX", ignore_errors=True)
    main(["pets", "--folder", "pets.zip", "--force"])
    assert found(home) == EXPECTED


def test_a_zip_with_images_at_several_depths_is_refused_with_examples(home):
    zipped(home, "", ("train/cat/grass/more/deep.png", png(1)))
    message = refused("pets", "--folder", "pets.zip")
    assert "the folders do not read as" in message
    assert "train/cat/grass/more/deep.png" in message


def test_a_second_table_is_one_that_a_person_wrote(home):
    folder = table(home, files=["birds.CSV"])
    for name in ("._birds.CSV", ".~lock.birds.csv", ".birds.csv"):
        write(folder / name, b"AppleDouble\x00\xff")
    main(["pets"])
    assert found(home) == EXPECTED
    write(folder / "more.tsv", b"a\tb\n")
    assert "several tables: birds.CSV, more.tsv" in refused("pets", "--force")
    assert "of tables, data/pets has: birds.CSV, more.tsv" in refused("pets", "--force", "--table", "birds")


def test_an_ending_that_no_image_has_is_named_where_a_table_names_it(home):
    rows = [(n.replace(".png", ".heic") if n == ROWS[3][0] else n, y, a, s) for n, y, a, s in with_splits()]
    folder = table(home, rows)
    (folder / "images" / ROWS[3][0]).rename((folder / "images" / ROWS[3][0]).with_suffix(".heic"))
    message = refused("pets")
    assert f"{ROWS[3][0].replace('.png', '.heic')}: the names of images end in" in message
    assert ".jfif" in message
