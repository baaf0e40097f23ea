"""Whatever archive is unpacked, all of it lies in its folder then, or it is refused and nothing is left of it."""

import io
import os
import shutil
import stat
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

import pytest
from fuzzing import DAMAGE, damaged, fuzz, some
from hypothesis import strategies as st

from fairdream.cli.new_dataset.layouts import find_folder
from fairdream.data.download import is_unpacked, unpack

NAMES = [
    *("a.png", "pets/a.png", "pets/b.png", "pets", "pets/", "a.png/b.png", "a.png/", "./a.png", "a//b.png", "é.png"),
    *("../evil", "/tmp/evil", "pets/../../evil", "..\\evil", "C:\\evil.png", "", ".", "..", "/", "con.png", "a\nb.png"),
    *("__MACOSX/._a.png", ".DS_Store", "n" * 300 + ".png", "d/" * 120 + "a.png", "d/" * 3000 + "a.png", "a\0b.png"),
]
NAME = st.sampled_from(NAMES) | st.text(max_size=5)
KINDS = [tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE]
MEMBER = st.fixed_dictionaries(
    {"name": NAME, "size": st.sampled_from([0, 1, 700, 5000])},
    optional={
        "kind": st.sampled_from(KINDS),
        "target": st.sampled_from(["a.png", "../..", "/etc/passwd", "pets/a.png", "gone", ""]),
        "mode": st.sampled_from([0o000, 0o644, 0o777, 0o4755]),
        "mtime": st.sampled_from([0, -1, 2**31, 2**40, 10**22, 0.5, 1e300]),
        "method": st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]),
        "flags": st.sampled_from([0x1, 0x800, 0x20]),  # locked, UTF-8, patched
    },
)
WELL = [{"name": f"pets/{name}", "size": 700} for name in ("a.png", "b.png", "cat/c.png")]
MEMBERS = st.tuples(st.sampled_from([WELL, [], WELL[:1]]), some(MEMBER, MEMBER)).map(lambda own: [*own[0], *own[1]])
FORMATS = ["zip", "zip", "tar", "tar:gz", "tar:bz2", "tar:xz"]
ARCHIVES = st.tuples(MEMBERS, st.sampled_from(FORMATS), st.one_of(*[st.just([])] * 2, DAMAGE))


def tar(members: list[dict], how: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=f"w:{how}", format=tarfile.PAX_FORMAT) as file:
        for own in members:
            member = tarfile.TarInfo(own["name"])
            member.type, member.linkname = own.get("kind", tarfile.REGTYPE), own.get("target", "a.png")
            member.mode, member.mtime = own.get("mode", 0o644), own.get("mtime", 0)
            member.size = own["size"] if member.isreg() else 0
            file.addfile(member, io.BytesIO(bytes(own["size"])))
    return buffer.getvalue()


def zipped(members: list[dict]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for own in members:
            info = zipfile.ZipInfo(own["name"] or "a")
            info.external_attr = own.get("mode", 0o644) << 16
            if own.get("kind") == tarfile.SYMTYPE:
                info.external_attr |= stat.S_IFLNK << 16
            info.compress_type = own.get("method", zipfile.ZIP_STORED)
            file.writestr(info, bytes(own["size"]))
            info.flag_bits |= own.get("flags", 0)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("archives")


def place(home: Path, case: tuple) -> Path:
    """Write one case's archive into a folder without anything else."""
    members, how, damage = case
    shutil.rmtree(home)
    (home / "data").mkdir(parents=True)
    archive = home / "data/pets.archive"
    archive.write_bytes(damaged(zipped(members) if how == "zip" else tar(members, how.partition(":")[2]), damage))
    return archive


def lying_in(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_archive_is_unpacked_whole_or_not_at_all(home, tell):
    def read(case: tuple) -> None:
        archive = place(home, case)
        folder = archive.with_name("pets")
        before = lying_in(home)
        try:
            unpack(archive, folder)
        finally:
            outside = {path for path in lying_in(home) - before if not path.is_relative_to(folder)}
            assert not outside
        assert folder.is_dir()
        for path in lying_in(folder):
            assert Path(os.path.realpath(path)).is_relative_to(folder)

    ended = fuzz("archives", ARCHIVES, read, 800, tell)
    assert min(ended.values()) > 100


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_new_dataset_finds_the_folder_of_an_archive_once_and_again(home, tell, monkeypatch, capsys):
    def read(case: tuple) -> None:
        archive = place(home, case)
        monkeypatch.chdir(home)
        folder = find_folder("pets", archive)
        assert folder.is_dir()
        names = [PurePosixPath(member["name"].strip("/")) for member in case[0]]
        if len(set(names)) == len(names) and not any("kind" in member for member in case[0]):
            assert is_unpacked(archive, Path("data/pets"))
        assert find_folder("pets", archive) == folder

    ended = fuzz("archives for new-dataset", ARCHIVES, read, 300, tell)
    assert min(ended.values()) > 50
