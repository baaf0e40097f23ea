"""No half-written file stands under a final name."""

import errno
import fcntl
import os

import pytest

from fairdream.errors import UserError
from fairdream.runtime.files import atomic, check_locks, write_if_changed, write_text


def test_a_failed_write_leaves_the_old_content_and_no_other_file(tmp_path):
    target = tmp_path / "out.csv"
    target.write_text("old")

    def fail():
        with atomic(target) as temporary:
            temporary.write_text("half")
            raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk full"):
        fail()
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["out.csv"]


def test_nothing_stands_under_the_name_while_it_is_written(tmp_path):
    target = tmp_path / "folder" / "weights.safetensors"
    with atomic(target) as temporary:
        temporary.write_text("half")
        assert not target.exists()
        assert temporary.parent == target.parent, "a rename is atomic within one file system only"
        assert temporary.suffix == target.suffix
        assert temporary.name.startswith(".")
    assert target.read_text() == "half"
    assert os.listdir(target.parent) == [target.name]


def test_the_bytes_are_on_the_disk_before_the_name_is(tmp_path, monkeypatch):
    done = []
    sync, replace = os.fsync, os.replace

    def note_sync(descriptor):
        done.append(("fsync", os.fstat(descriptor).st_ino))
        sync(descriptor)

    def note_replace(source, target):
        done.append(("replace", os.stat(source).st_ino))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(os, "replace", note_replace)
    write_text(tmp_path / "a.txt", "text")
    inode = (tmp_path / "a.txt").stat().st_ino
    assert done == [("fsync", inode), ("replace", inode)]


def test_a_writer_that_writes_nothing_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError), atomic(tmp_path / "a.txt"):
        pass
    assert os.listdir(tmp_path) == []


def test_an_equal_text_keeps_the_time_stamp(tmp_path):
    path = tmp_path / "subject.json"
    assert write_if_changed(path, "one")
    os.utime(path, ns=(1, 1))
    assert not write_if_changed(path, "one")
    assert path.stat().st_mtime_ns == 1
    assert write_if_changed(path, "two")
    assert path.stat().st_mtime_ns > 1
    assert path.read_text() == "two"


def test_a_file_system_without_locks_is_refused(tmp_path, monkeypatch):
    check_locks(tmp_path)

    def flock(*_):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(UserError, match="no locks between processes"):
        check_locks(tmp_path)


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match=r"file/store: cannot be written: .*Not a directory"):
        check_locks(tmp_path / "file/store")
