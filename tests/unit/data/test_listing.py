"""What lies in a user's folder is listed once and alike: endings, links, leftovers of systems, forms of names."""

import os
import tempfile
import unicodedata
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from own_data import main
from refusals import ROOT, Case, Table, check, give_up_root
from test_bad_input import ROWS, data

from fairdream.data.images import open_rgb
from fairdream.data.listing import IMAGE_SUFFIXES, as_on_disk, list_files, tables, visible, why_passed_over
from fairdream.errors import UserError

CASES = Table()
NFC, NFD = (unicodedata.normalize(form, "é") for form in ("NFC", "NFD"))


def fill(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir() if name.endswith("/") else path.touch()
    return folder


def link(path: Path, target: str | Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)


def test_an_image_is_known_by_its_ending_in_any_case(tmp_path):
    images = ["a.JPG", "b.JPEG", "c.Png", "d.jfif", "e.JPE", "f.TIFF", "g.tif", "h.webp", "i.Gif", "j.BMP", "k.mpo"]
    fill(tmp_path, *images, "notes.txt", "l.heic", "m.HEIC", "n.svg", "o.npy", "p.avif", "LICENSE", "cat.png.part")
    found = list_files(tmp_path)
    assert found.files == images
    assert found.passed_over == {
        ".heic": 2,
        **dict.fromkeys((".txt", ".svg", ".npy", ".avif", ".part", "without an ending"), 1),
    }
    assert found.told() == [
        f"{tmp_path}: passed over, as no images: 2 .heic, 1 .avif, 1 .npy, 1 .part, 1 .svg, 1 .txt, 1 without an ending"
    ]


@pytest.mark.parametrize("suffix", sorted(IMAGE_SUFFIXES))
def test_what_is_listed_can_be_opened(suffix, tmp_path):
    from PIL import Image

    kinds = {".jpe": "JPEG", ".jfif": "JPEG", ".mpo": "MPO"}
    path = tmp_path / f"a{suffix}"
    Image.new("RGB", (4, 4)).save(path, format=kinds.get(suffix))
    assert open_rgb(path).size == (4, 4)


def test_a_table_is_no_image_that_was_forgotten(tmp_path):
    fill(tmp_path, "metadata.csv", "a.tsv", "b.JSONL", "._metadata.csv", "c.parquet", "d.txt", "e/f.csv", "g.csv/")
    assert [path.name for path in tables(tmp_path)] == ["a.tsv", "b.JSONL", "c.parquet", "metadata.csv"]
    assert list_files(tmp_path).passed_over == {"._*": 1, ".txt": 1}


def test_many_kinds_are_summed_up(tmp_path):
    fill(tmp_path, *(f"{number}.{number:03d}" for number in range(15)))
    assert list_files(tmp_path).told()[0].endswith("1 .008, 1 .009, 5 of other kinds")


LEFTOVERS = {
    "._a.png": "._*",
    "cat/._b.JPG": "._*",
    "__MACOSX/cat/._a.png": "__MACOSX/",
    "cat/.DS_Store": ".DS_Store",
    "Thumbs.db": "Thumbs.db",
    "cat/thumbs.db": "thumbs.db",
    "cat/desktop.ini": "desktop.ini",
    ".ipynb_checkpoints/a-checkpoint.png": ".ipynb_checkpoints/",
    "cat/@eaDir/a.png/SYNOPHOTO_THUMB_M.jpg": "@eaDir/",
    "#recycle/cat/a.png": "#recycle/",
    "#snapshot/GMT-1/cat/a.png": "#snapshot/",
    "@Recently-Snapshot/cat/a.png": "@Recently-Snapshot/",
    "@Recycle/cat/a.png": "@Recycle/",
    "@tmp/a.png": "@tmp/",
    "~snapshot/hourly.0/cat/a.png": "~snapshot/",
    "cat/.snapshot/hourly.0/a.png": ".snapshot/",
    ".hidden.png": ".hidden.png",
    "$RECYCLE.BIN/a.png": "$RECYCLE.BIN/",
}


def test_leftovers_of_systems_and_hidden_names_are_passed_over_and_counted(tmp_path):
    fill(tmp_path, "a.png", "cat/b.jpg", *LEFTOVERS)
    found = list_files(tmp_path)
    assert found.files == ["a.png", "cat/b.jpg"]
    assert found.folders == ["cat"]
    assert found.passed_over == Counter(LEFTOVERS.values())
    assert [path.name for path in visible(tmp_path)] == ["a.png", "cat"]


def test_why_a_file_is_left_out_is_said_of_those_that_are_and_of_no_other(tmp_path):
    fill(tmp_path, "a.png", "cat/b.jpg", "c.heic", "LICENSE", *LEFTOVERS)
    listed = list_files(tmp_path).files
    for path in tmp_path.rglob("*"):
        if path.is_file():
            name = path.relative_to(tmp_path).as_posix()
            assert (why_passed_over(name) is None) == (name in listed), name


def test_the_folder_itself_may_be_hidden(tmp_path):
    assert list_files(fill(tmp_path / ".data/@eaDir", "a.png")).files == ["a.png"]


def test_files_are_sorted_as_their_paths_are(tmp_path):
    fill(tmp_path, "b.png", "b/z.png", "b-1/a.png", "a/c/d.png", "a/b.png", "B.png")
    files = [tmp_path / name for name in list_files(tmp_path).files]
    assert files == sorted(files)
    assert len(files) == 6


def test_links_to_folders_and_files_are_followed_wherever_they_lead(tmp_path):
    fill(tmp_path / "elsewhere", "cat/a.png", "b.png")
    data = fill(tmp_path / "data", "dog/c.png")
    link(data / "cat", "../elsewhere/cat")
    link(data / "again", tmp_path / "data/cat")  # a link to a link
    link(data / "dog/b.png", tmp_path / "elsewhere/b.png")
    link(data / "one file", tmp_path / "elsewhere/b.png")
    link(data / "d.png", tmp_path / "elsewhere/cat")  # a folder, whatever it is called
    found = list_files(data)
    assert found.files == ["again/a.png", "cat/a.png", "d.png/a.png", "dog/b.png", "dog/c.png"]
    assert not found.broken
    link(tmp_path / "whole", data)
    assert list_files(tmp_path / "whole").files == found.files


@pytest.mark.parametrize(
    "links",
    [
        {"data/cat/self": "."},
        {"data/cat/up": "../.."},
        {"data/cat/data": "../../data"},
        {"data/cat/root": "/"},
        {"data/cat/out": "../../other", "other/back": "../data"},
        {"data/cat/out": "../../other", "other/deep/back": "../../data/cat"},
        {"data/cat/out": "../../other", "other/out": "../third", "third/back": "../other"},
    ],
    ids=str,
)
def test_a_loop_of_links_is_refused_by_its_name(tmp_path, links):
    fill(tmp_path, "data/cat/a.png", "other/b.png", "third/c.png")
    for path, target in links.items():
        link(tmp_path / path, target)
    with pytest.raises(UserError, match=r"(self|up|data|root|back): a loop: this link leads to /.*in which it lies"):
        list_files(tmp_path / "data")


def test_a_loop_in_what_is_passed_over_is_nobodys_concern(tmp_path):
    fill(tmp_path, "a.png")
    link(tmp_path / ".git/self", ".")
    assert list_files(tmp_path).files == ["a.png"]


def test_links_that_lead_nowhere_are_named(tmp_path):
    fill(tmp_path, "a.png")
    link(tmp_path / "cat", "/nowhere/cat")
    link(tmp_path / "z.png", "z.png")
    link(tmp_path / "._x.png", "nowhere")
    found = list_files(tmp_path)
    assert found.files == ["a.png"]
    assert found.broken == ["cat", "z.png"]
    assert found.told()[-1] == (f"{tmp_path}: 2 broken link(s), first cat: a link that leads nowhere, or to itself")


def test_a_pipe_is_no_image(tmp_path):
    os.mkfifo(fill(tmp_path, "a.png") / "b.png")
    found = list_files(tmp_path)
    assert found.files == ["a.png"]
    assert found.passed_over == {"pipes or the like": 1}


def test_a_plain_folder_has_nothing_to_tell(tmp_path):
    assert not list_files(fill(tmp_path, "a.png", "cat/b.jpg", "metadata.csv")).told()
    assert not list_files(tmp_path / "nowhere").files


def test_a_name_is_found_in_any_unicode_form(tmp_path):
    fill(tmp_path, f"caf{NFD}/cr{NFC}me.png", f"{NFC}.png", f"{NFD}.png", "a.png")
    wanted = [f"caf{NFC}/cr{NFD}me.png", f"caf{NFD}/cr{NFC}me.png", "a.png", "b.png", f"{NFC}b.png", f"b/{NFC}.png"]
    assert list(as_on_disk(tmp_path, wanted)) == [f"caf{NFD}/cr{NFC}me.png"] * 2 + ["a.png", None, None, None]
    # its own form is meant where both are there
    assert list(as_on_disk(tmp_path, [f"{NFC}.png", f"{NFD}.png"])) == [f"{NFC}.png", f"{NFD}.png"]


def test_a_name_that_fits_two_files_in_other_forms_is_none_of_them(tmp_path):
    forms = ["\u1eb7", "\u0103\u0323", "a\u0323\u0306"]  # one letter with two marks
    assert len({unicodedata.normalize("NFC", form) for form in forms}) == 1
    fill(tmp_path, *(f"{form}.png" for form in forms[:2]))
    assert list(as_on_disk(tmp_path, [f"{forms[2]}.png"])) == [None]


# What is refused, with the message that docs/errors.md explains.


def folders(name: str, *words: str, files: tuple[str, ...], links: dict[str, str] | None = None) -> None:
    """Add a row: class folders that `fairdream new-dataset` does not take as they are."""

    @CASES.add(name, *words)
    def plant(folder: Path) -> Callable:
        fill(folder / "pets", *files)
        for path, target in (links or {}).items():
            link(folder / "pets" / path, target)
        return lambda: main(["pets", "--folder", str(folder / "pets"), "--base", str(ROOT / "config.yaml")])


PETS = ("cat/red/a.png", "cat/blue/b.png", "dog/red/c.png", "dog/blue/d.png")
folders("a loop of links", "a loop: this link leads to", "cat/again", files=PETS, links={"cat/again": ".."})
folders(
    "a class folder that is a broken link",
    "fix or remove it",
    "pets/bird: a link that leads nowhere",
    files=PETS,
    links={"bird": "/nowhere/bird"},
)
folders(
    "train and test beside class folders",
    "beside them",
    "test, train are splits, cat, dog beside them are not",
    files=("train/a.png", "test/b.png", "cat/c.png", "dog/d.png"),
)
folders(
    "an image beside folders of splits",
    "beside them",
    "a.png beside them is not",
    files=("train/a/b.png", "test/a/c.png", "a.png"),
)
folders(
    "splits inside the classes", "lie inside the classes", "test, train", files=("cat/train/a.png", "dog/test/b.png")
)
ASKED = "are these masks of images, or a class"
folders("masks beside images", ASKED, "pets/masks", files=("images/a.png", "masks/a.png"))
folders("masks beside images, in capitals", ASKED, "pets/Mask", files=("Images/a.png", "Mask/a.png"))
folders("masks among classes", ASKED, "pets/segmentations", files=("cat/a.png", "dog/b.png", "segmentations/a.png"))
folders(
    "masks inside classes", ASKED, "pets/cat/masks", files=("cat/images/a.png", "cat/masks/a.png", "dog/images/b.png")
)
folders(
    "masks beside their images",
    "called as masks of others",
    "2 image(s)",
    "first benign/a (1)_mask",
    files=("benign/a (1).png", "benign/a (1)_mask.png", "benign/a (1)_mask_1.png", "normal/b.png"),
)
ALIKE = "differ in case, blanks or Unicode form alone"
folders("class folders that differ in case", ALIKE, "'Cat' and 'cat'", files=("Cat/a.png", "cat/b.png", "dog/c.png"))
folders("class folders that differ in a blank", ALIKE, "'cat '", files=("cat/a.png", "cat /b.png", "dog/c.png"))
folders("class folders in two forms", ALIKE, files=(f"caf{NFC}/a.png", f"caf{NFD}/b.png", "dog/c.png"))
folders("attributes that differ in case", ALIKE, "'Red' and 'red'", files=("cat/Red/a.png", "dog/red/b.png"))
folders(
    "images at several depths", "the folders do not read as", "a.png", files=("a.png", "cat/b.png", "cat/red/c.png")
)
folders(
    "no image that is read",
    "nor an image below it",
    "passed over, as no images: 2 .heic, 1 __MACOSX/",
    files=("cat/a.heic", "dog/b.HEIC", "__MACOSX/._a.png"),
)
folders(
    "a class folder whose name is not UTF-8",
    "whose name is not UTF-8",
    r"caf\xe9",
    files=(*PETS, os.fsdecode(b"caf\xe9/x/a.png")),
)


def spoilt(name: str, *words: str, to: str, link_to: str | None = None) -> None:
    """Add a row: an image that the table names is called otherwise, or is a link."""

    @CASES.add(name, *words)
    def plant(folder: Path) -> Callable:
        rows = [(to if row[0] == ROWS[2][0] else row[0], *row[1:]) for row in ROWS]
        read = data(folder, rows)
        path = folder / "images" / to
        path.parent.mkdir(exist_ok=True)
        (folder / "images" / ROWS[2][0]).rename(path)
        if link_to:
            path.rename(folder / "moved.png")
            path.symlink_to(link_to)
        return read


NOT_TAKEN = "not taken for an image of the data set"
spoilt("an ending that the table has too", NOT_TAKEN, "images/a.heic (row 4", "end in .bmp, .gif, .jfif", to="a.heic")
spoilt("a hidden image", NOT_TAKEN, "._a.png is hidden or a leftover of a system", to="._a.png")
spoilt("an image in a hidden folder", NOT_TAKEN, ".cache is hidden or a leftover of a system", to=".cache/a.png")
spoilt("a broken link of another name", "a link that leads nowhere, or to itself", to="a.png", link_to="/nowhere")


@CASES.add("a file that two rows name", "names one file twice, in two Unicode forms", r"\xe9.png", r"e\u0301.png")
def _(folder: Path) -> Callable:
    rows = [(f"{NFC}.png", *ROWS[0][1:]), (f"{NFD}.png", *ROWS[1][1:]), *ROWS[2:]]
    read = data(folder, rows)
    (folder / "images" / ROWS[0][0]).rename(folder / f"images/{NFC}.png")
    return read


@CASES.add("a folder that its reader may not read", "make it readable (chmod)", "cat/red", "Permission denied")
def _(folder: Path) -> Callable:
    home = Path(tempfile.mkdtemp())  # which another user can reach, unlike pytest's
    home.chmod(0o755)
    fill(home, *PETS)
    (home / "cat/red").chmod(0)

    def run() -> None:
        give_up_root()
        list_files(home)

    return run


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_message_and_the_exit(case: Case, tmp_path):
    check(case, tmp_path)
