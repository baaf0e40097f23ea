"""The manifest changes with content and with nothing else."""

import os

import pyarrow.parquet as pq
import pytest

from fairdream.config.datasets import Source
from fairdream.data import manifest
from fairdream.errors import UserError
from fairdream.identity import file_digest


@pytest.fixture
def dataset(tmp_path):
    folder = tmp_path / "data"
    (folder / "images/deep").mkdir(parents=True)
    (folder / "metadata.csv").write_text("path\n")
    for name in ("a.png", "b.JPG", "deep/c.png"):
        (folder / "images" / name).write_bytes(name.encode())
    (folder / "images/notes.txt").write_text("not an image")
    config = Source(
        folder=str(folder),
        images="images",
        tables=[{"file": "metadata.csv"}],
        train_counts={"x-y": 1},
    )
    path = tmp_path / "manifest.parquet"
    manifest.write_manifest(str(path), config)
    os.utime(path, ns=(1, 1))
    return folder, path, config


def rows(path):
    return {row["path"]: row for row in pq.read_table(path).to_pylist()}


def test_it_lists_tables_and_images_with_their_content(dataset):
    folder, path, _ = dataset
    listed = rows(path)
    assert list(listed) == ["images/a.png", "images/b.JPG", "images/deep/c.png", "metadata.csv"]
    for name, row in listed.items():
        assert row["sha256"] == file_digest(folder / name)
        assert row["size"] == (folder / name).stat().st_size


def test_nothing_changed(dataset):
    _, path, config = dataset
    assert not manifest.refresh(path, config)
    assert path.stat().st_mtime_ns == 1


def test_a_touched_image_is_no_change(dataset):
    folder, path, config = dataset
    os.utime(folder / "images/a.png", ns=(5, 5))
    assert not manifest.refresh(path, config)
    assert path.stat().st_mtime_ns == 1


def test_only_what_looks_different_is_hashed(dataset, monkeypatch):
    folder, path, config = dataset
    hashed = []
    monkeypatch.setattr(manifest, "file_digest", lambda file: hashed.append(file.name) or file_digest(file))
    os.utime(folder / "images/b.JPG", ns=(5, 5))
    manifest.refresh(path, config)
    assert hashed == ["b.JPG"]


def test_an_edit_of_the_same_size_is_a_change(dataset):
    folder, path, config = dataset
    (folder / "images/a.png").write_bytes(b"A.png")
    assert manifest.refresh(path, config)
    assert rows(path)["images/a.png"]["sha256"] == file_digest(folder / "images/a.png")
    assert path.stat().st_mtime_ns > 1
    assert not manifest.refresh(path, config)


def test_an_edited_table_is_a_change(dataset):
    folder, path, config = dataset
    (folder / "metadata.csv").write_text("path,label\n")
    assert manifest.refresh(path, config)


def test_added_and_removed_images_are_changes(dataset):
    folder, path, config = dataset
    (folder / "images/d.png").write_bytes(b"d")
    assert manifest.refresh(path, config)
    assert "images/d.png" in rows(path)
    (folder / "images/deep/c.png").unlink()
    assert manifest.refresh(path, config)
    assert "images/deep/c.png" not in rows(path)
    (folder / "images/notes.txt").unlink()
    assert not manifest.refresh(path, config)


def test_a_missing_table_or_folder_is_named_and_never_forgets_what_was_known(dataset):
    folder, path, config = dataset
    (folder / "metadata.csv").unlink()
    assert manifest.missing_data(config) == [str(folder / "metadata.csv")]
    with pytest.raises(UserError, match=r"metadata\.csv: not found"):
        manifest.write_manifest(str(path), config)
    assert not manifest.refresh(path, config)
    assert "metadata.csv" in rows(path)
    away = Source(**{**config.model_dump(), "folder": str(folder / "away")})
    assert manifest.missing_data(away) == [str(folder / "away")]


def test_there_is_nothing_to_refresh_before_the_first_run(dataset, tmp_path):
    _, _, config = dataset
    assert not manifest.refresh(tmp_path / "new.parquet", config)
    assert not (tmp_path / "new.parquet").exists()


def test_it_lists_what_every_reader_lists_and_logs_the_rest(dataset, caplog):
    folder, path, config = dataset
    outside = folder.parent / "outside"
    outside.mkdir()
    for name in ("g.Png", "h.jfif"):
        (outside / name).write_bytes(name.encode())
    (folder / "images/linked").symlink_to(outside)
    (folder / "images/lost").symlink_to("/nowhere")
    for name in ("._a.png", "deep/._c.png", ".ipynb_checkpoints/a.png", "e.heic", "__MACOSX/a.png"):
        (folder / "images" / name).parent.mkdir(exist_ok=True)
        (folder / "images" / name).write_bytes(b"none")
    before = set(rows(path))
    assert manifest.refresh(path, config)
    linked = {"images/linked/g.Png", "images/linked/h.jfif"}
    assert set(rows(path)) == before | linked
    assert rows(path)["images/linked/g.Png"]["sha256"] == file_digest(outside / "g.Png")
    caplog.set_level("INFO", "fairdream")
    manifest.write_manifest(str(path), config)
    assert set(rows(path)) == before | linked
    told = "passed over, as no images: 2 ._*, 1 .heic, 1 .ipynb_checkpoints/, 1 .txt, 1 __MACOSX/"
    assert told in caplog.text
    assert "1 broken link(s), first lost" in caplog.text


def test_a_manifest_of_before_stands_for_a_plain_folder(dataset):
    """Of the walk that followed no links: the same rows, so no run becomes stale."""
    folder, path, config = dataset
    (folder / "images/notes.txt").unlink()
    walked = {"metadata.csv"}
    for parent, _, names in os.walk(folder / config.images):
        walked |= {os.path.relpath(os.path.join(parent, name), folder) for name in names}
    assert sorted(walked) == list(rows(path))
    same = path.read_bytes()
    manifest.write_manifest(str(path), config)
    assert path.read_bytes() == same


def test_a_loop_of_links_is_refused_before_a_run(dataset):
    folder, path, config = dataset
    (folder / "images/deep/up").symlink_to("..")
    with pytest.raises(UserError, match=r"images/deep/up: a loop: this link leads to .*/images, in which it lies"):
        manifest.refresh(path, config)


@pytest.mark.parametrize("images", ["images/", "./images", "images"])
def test_the_image_folder_is_written_as_a_path_is(dataset, images):
    _, path, config = dataset
    known = list(rows(path))
    manifest.write_manifest(str(path), Source(**{**config.model_dump(), "images": images}))
    assert list(rows(path)) == known
