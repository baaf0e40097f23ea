"""Whatever lies in a user's folder, the walk counts all of it, and new-dataset reads or refuses it."""

import os
import shutil
from collections import Counter
from pathlib import Path

import pytest
from fuzzing import fuzz, some
from hypothesis import strategies as st

from fairdream.cli.new_dataset.options import Options
from fairdream.cli.new_dataset.section import count_groups, look
from fairdream.config.datasets import Source
from fairdream.data.listing import IMAGE_SUFFIXES, TABLE_SUFFIXES, is_leftover, list_files, suffix_of
from fairdream.data.manifest import refresh, write_manifest
from fairdream.data.table_files import read_table

FOLDERS = [
    *(
        "",
        "train",
        "test",
        "val",
        "cat",
        "dog",
        "Cat",
        "grass",
        "snow",
        "images",
        "masks",
        "fold1",
        "train_cats",
        "data",
    ),
    *(".cache", "__MACOSX", "é", "e\u0301", "a b", "a\nb", "a{b}", "-x", "~", "#recycle", "unpacked", "a.png", "😀"),
]
FILES = [
    *("a.png", "b.png", "c.JPG", "d.jpeg", "e.Png", "f.webp", "a.heic", "a.svg", "a", "a.png.part", "._a.png", ".png"),
    *(
        "Thumbs.db",
        "é.png",
        "e\u0301.png",
        "a\nb.png",
        "a b.png",
        "a,b.png",
        'a"b.png',
        "a\\b.png",
        "{a}.png",
        "-a.png",
    ),
    *("a_mask.png", "train_1.png", "test_1.png", "n" * 250 + ".png", "README.md", "train.txt", "dataset_infos.json"),
    *("metadata.csv", "train.csv", "test.csv", "labels.tsv", "metadata.jsonl", "fairdream.csv", "a.parquet", "a.arrow"),
]
ODD = [b"caf\xe9.png", b"\xff", b"\xe9/a.png"]  # of old systems
FOLDER = st.lists(st.sampled_from(FOLDERS), max_size=3).map(lambda parts: "/".join(filter(None, parts)))
ENTRY = st.tuples(st.just("file"), FOLDER, st.sampled_from(FILES))
CLASSES = st.sampled_from(
    [
        [f"{split}{label}/{number}.png" for split in splits for label in labels for number in range(2)]
        for splits in (("",), ("train/", "test/"), ("train/", "val/", "extra/"))
        for labels in (
            ("cat", "dog"),
            ("cat/grass", "cat/snow", "dog/grass", "dog/snow"),
            ("cat", "Cat"),
            ("cat/grass",),
        )
    ]
)
ODD_ENTRIES = [
    ENTRY,
    ENTRY,
    st.tuples(st.just("bytes"), FOLDER, st.sampled_from(ODD)),
    st.tuples(st.just("folder"), FOLDER, st.sampled_from(FOLDERS[1:])),
    st.tuples(st.just("link"), FOLDER, st.sampled_from(["cat", "a.png", "..", "../..", "/nowhere", "link.png"])),
    st.tuples(st.just("pipe"), FOLDER, st.just("pipe.png")),
    st.tuples(st.just("deep"), FOLDER, st.integers(2, 40)),
]
TREES = st.tuples(CLASSES | st.just([]), some(*ODD_ENTRIES, most=6))
OPTIONS = st.sampled_from(
    [*[{}] * 5, {"split": "none"}, {"missing": "drop"}, {"table": "metadata.csv"}, {"table": "train.csv,test.csv"}]
)


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("folders")


def plant(home: Path, tree: tuple) -> Path:
    """Make one of `TREES` in the place of the one before; what two entries both want, the first one has."""
    top = home / "pets"
    shutil.rmtree(top, ignore_errors=True)
    top.mkdir()
    for name in tree[0]:
        put(top / name, "file")
    for kind, folder, name in tree[1]:
        own = {"link": "link.png", "deep": "deep"}.get(kind) or os.fsdecode(name)
        put(top / folder / own, kind, name)
    return top


def put(path: Path, kind: str, name: object = None) -> None:
    if len(os.fsencode(path.name)) > 255 or os.path.lexists(path):
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError:  # a file is in its place
        return
    if kind == "folder":
        path.mkdir()
    elif kind == "link":
        path.symlink_to(str(name))
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "deep":
        Path(path, *"d" * int(str(name))).mkdir(parents=True)
    else:
        path.write_bytes(b"path,label,attribute,split\na.png,cat,grass,train\nb.png,dog,snow,test\n")


def test_a_walk_counts_all_that_lies_there(home, tell):
    def read(tree: tuple) -> None:
        top = plant(home, tree)
        found = list_files(top)
        seen: Counter[str] = Counter()
        for folder, folders, files in os.walk(top, followlinks=True):
            for name in [*folders, *files]:
                path = Path(folder, name)
                kind = "leftover" if is_leftover(name) else "folder" if path.is_dir() else "other"
                kind = "image" if kind == "other" and path.is_file() and suffix_of(name) in IMAGE_SUFFIXES else kind
                kind = "table" if kind == "other" and path.is_file() and suffix_of(name) in TABLE_SUFFIXES else kind
                seen["broken" if kind == "other" and path.is_symlink() and not path.exists() else kind] += 1
            folders[:] = [name for name in folders if not is_leftover(name)]
        assert len(found.files) == seen["image"]
        assert len(found.folders) == seen["folder"]
        assert len(found.broken) == seen["broken"]
        assert found.passed_over.total() == seen["leftover"] + seen["other"]
        for name in found.files:
            assert (top / name).is_file()
        assert found.files == sorted(found.files, key=lambda name: name.split("/")) or found.folders
        found.told()

    ended = fuzz("folders", TREES, read, 800, tell)
    assert min(ended.values()) > 50


def test_a_manifest_has_every_image_of_the_folder(home, tell):
    def read(tree: tuple) -> None:
        top = plant(home, tree)
        put(top / "metadata.csv", "file")
        source = Source(folder=str(top), tables=[{"file": "metadata.csv"}], train_counts={})
        manifest = home / "manifest.parquet"
        write_manifest(str(manifest), source)
        assert set(read_table(manifest)["path"]) == {*list_files(top).files, "metadata.csv"}
        assert not refresh(manifest, source)

    ended = fuzz("folders for a manifest", TREES, read, 300, tell)
    assert min(ended.values()) > 50


def test_new_dataset_takes_every_image_of_class_folders_or_refuses_them(home, tell):
    def read(case: tuple) -> None:
        top = plant(home, case[0])
        values = look(top, Options("pets", folder=top, **case[1]), notes := [])
        counts = count_groups(values, 0)
        table = values["tables"][0]
        raw = read_table(top / table["file"])
        assert sum(sum(count.values()) for count in counts.values()) == len(raw)
        paths = [top / values["images"] / path for path in raw[table["path"]]]
        assert all(path.is_file() for path in paths)
        # an image that no row names is told of
        there = list_files(top, without_folders={"unpacked"}).files
        assert len(there) == len(raw) or any("have no row" in note for note in notes)

    trees = st.tuples(CLASSES, some(*ODD_ENTRIES[:5], most=2))
    ended = fuzz("folders for new-dataset", st.tuples(trees, OPTIONS), read, 500, tell)
    assert min(ended.values()) > 30
