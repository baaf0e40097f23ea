"""Downloads from a local server that breaks off, refuses and lies."""

import hashlib
import io
import json
import subprocess
import sys
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from fairdream.config.datasets import Download
from fairdream.data import download
from fairdream.errors import UserError

ROOT = Path(__file__).resolve().parents[3]
CONTENT = bytes(range(256)) * 4000


@pytest.fixture
def server():
    """A server of CONTENT; `breaks` says after how many bytes each of the next answers ends."""

    class Handler(BaseHTTPRequestHandler):
        content, breaks, ranges, seen, status = CONTENT, [], True, [], None

        def do_GET(self):
            cls = type(self)
            cls.seen.append(self.headers.get("Range"))
            if cls.status:
                return self.send_error(cls.status)
            start = 0
            if cls.ranges and (asked := self.headers.get("Range")):
                start = int(asked.removeprefix("bytes=").removesuffix("-"))
                if start >= len(cls.content):
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{len(cls.content)}")
                    self.send_header("Content-Length", "0")
                    return self.end_headers()
            body = cls.content[start:]
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if cls.breaks:
                body = body[: cls.breaks.pop(0)]
            self.wfile.write(body)
            self.close_connection = True

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        Handler.url = f"http://127.0.0.1:{http.server_port}/set.tar.gz"
        yield Handler
        http.shutdown()


def fetched(folder: Path, target: Path, server) -> dict:
    """Return the receipt of a data set fetched with the right checksum."""
    source = Download(url=server.url, sha256=digest(server.content))
    receipt = folder / "fetched.json"
    download.fetch_dataset(str(receipt), {"folder": str(target), "download": source.model_dump()})
    return json.loads(receipt.read_text())


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_a_file_is_fetched_and_checked(server, tmp_path):
    target = tmp_path / "data/set.tar.gz"
    assert download.fetch(server.url, target, digest(CONTENT)) == digest(CONTENT)
    assert target.read_bytes() == CONTENT
    assert [path.name for path in target.parent.iterdir()] == ["set.tar.gz"]


@pytest.mark.parametrize("ranges", [True, False])
def test_a_broken_transfer_goes_on_where_it_stopped(server, tmp_path, ranges):
    server.breaks, server.ranges = [300_000, 200_000], ranges
    target = tmp_path / "set.tar.gz"
    download.fetch(server.url, target, digest(CONTENT), pause=0.01)
    assert target.read_bytes() == CONTENT
    if ranges:
        assert server.seen == [None, "bytes=300000-", "bytes=500000-"]


def test_a_later_call_goes_on_too_and_a_whole_part_is_taken(server, tmp_path):
    target = tmp_path / "set.tar.gz"
    (tmp_path / "set.tar.gz.part").write_bytes(CONTENT[:1000])
    download.fetch(server.url, target, None)
    assert server.seen == ["bytes=1000-"]
    target.rename(tmp_path / "set.tar.gz.part")
    download.fetch(server.url, target, digest(CONTENT))
    assert target.read_bytes() == CONTENT


def test_a_wrong_checksum_leaves_no_file(server, tmp_path):
    with pytest.raises(UserError, match=f"SHA-256 is {digest(CONTENT)}, expected 00"):
        download.fetch(server.url, tmp_path / "set", "00" * 32)
    assert not list(tmp_path.iterdir())


def test_what_is_not_there_is_not_tried_again(server, tmp_path):
    server.status = 404
    with pytest.raises(UserError, match="404"):
        download.fetch(server.url, tmp_path / "set", None, pause=0.01)
    assert len(server.seen) == 1


def test_a_server_that_fails_is_tried_again_and_then_named(server, tmp_path):
    server.status = 503
    with pytest.raises(UserError, match="503"):
        download.fetch(server.url, tmp_path / "set", None, retries=2, pause=0.01)
    assert len(server.seen) == 3


def archive(kind: str, names: list[str]) -> bytes:
    buffer = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(buffer, "w") as file:
            for name in names:
                file.writestr(name, name)
    else:
        with tarfile.open(fileobj=buffer, mode="w:gz") as file:
            for name in names:
                member = tarfile.TarInfo(name)
                member.size = len(name)
                file.addfile(member, io.BytesIO(name.encode()))
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.parametrize("top", ["birds/", ""])
def test_an_archive_with_or_without_its_top_folder(server, tmp_path, kind, top):
    server.content = archive(kind, [f"{top}metadata.csv", f"{top}a/b.jpg"])
    folder = tmp_path / "data/birds"
    fetched(tmp_path, folder, server)
    found = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
    assert found == ["data/birds/a/b.jpg", "data/birds/metadata.csv", "fetched.json"]


def test_an_archive_that_leaves_its_folder_is_refused(server, tmp_path):
    server.content = archive("tar", ["../evil"])
    with pytest.raises(UserError, match=r"is not unpacked: '../evil'"):
        fetched(tmp_path, tmp_path / "data/birds", server)
    assert not (tmp_path / "evil").exists()
    assert not (tmp_path / "data/birds").exists()


def test_a_folder_that_is_there_stays_as_it_is(server, tmp_path):
    (tmp_path / "birds").mkdir()
    assert fetched(tmp_path, tmp_path / "birds", server)["sha256"] is None
    assert not server.seen
    assert not list((tmp_path / "birds").iterdir())


def test_the_target_fetches_what_can_be_had_and_needs_no_data(server, tmp_path):
    raw = yaml.safe_load((ROOT / "config.yaml").read_text())
    server.content, server.breaks = archive("tar", ["birds/metadata.csv"]), [50]
    raw["datasets"]["waterbirds"] |= {"folder": str(tmp_path / "birds"), "download": {"url": server.url}}
    raw["results"] = str(tmp_path / "results")
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(raw))
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(tmp_path)]
    command += ["--configfile", str(tmp_path / "config.yaml"), "--cores", "1", "fetch_data"]
    first = subprocess.run(command, capture_output=True, text=True)
    assert first.returncode == 0, first.stdout + first.stderr
    assert len(server.seen) == 2
    assert (tmp_path / "birds/metadata.csv").read_text() == "birds/metadata.csv"
    log = (tmp_path / "results/logs/fetch_dataset/waterbirds.log").read_text()
    assert digest(server.content) in log
    assert "No checksum is configured" in log
    assert "Nothing to be done" in subprocess.run(command, capture_output=True, text=True).stderr


def zip_of(stand_ins: dict[bytes, bytes]) -> bytes:
    """Return a zip of empty files whose names are other bytes than zipfile writes, which no flag tells of."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name in stand_ins:
            file.writestr(name.decode("ascii"), b"")
    content = buffer.getvalue()
    for name, written in stand_ins.items():
        assert len(name) == len(written)
        content = content.replace(name, written)
    return content


@pytest.mark.parametrize("flagged", [True, False])
def test_names_in_a_zip_are_read_as_they_were_written(tmp_path, flagged):
    names = ["birds/caf\u00e9/cre\u0301me.png", "birds/plain.png"]
    as_macos_does = zip_of(
        {name.encode("ascii", "replace").ljust(len(name.encode()), b"-"): name.encode() for name in names}
    )
    (tmp_path / "birds.zip").write_bytes(archive("zip", names) if flagged else as_macos_does)
    download.unpack(tmp_path / "birds.zip", tmp_path / "birds")
    found = {path.relative_to(tmp_path).as_posix() for path in (tmp_path / "birds").rglob("*.png")}
    assert found == set(names)
    assert download.is_unpacked(tmp_path / "birds.zip", tmp_path / "birds")


def test_names_in_a_zip_of_dos_are_read_as_ever(tmp_path):
    (tmp_path / "birds.zip").write_bytes(zip_of({b"birds/caf-.png": "birds/café.png".encode("cp437")}))
    download.unpack(tmp_path / "birds.zip", tmp_path / "birds")
    assert (tmp_path / "birds/café.png").is_file()


@pytest.mark.parametrize("names", [["./birds/a.png", "./birds/b/c.png"], ["./a.png"], ["/birds/a.png"]])
def test_a_tar_is_known_again_whose_names_begin_as_its_command_was_given(tmp_path, names):
    (tmp_path / "birds.tgz").write_bytes(archive("tar", names))
    download.unpack(tmp_path / "birds.tgz", tmp_path / "birds")
    assert download.is_unpacked(tmp_path / "birds.tgz", tmp_path / "birds")


def test_a_damaged_archive_is_one(tmp_path):
    (tmp_path / "birds.tgz").write_bytes(archive("tar", ["a.png"])[:60])
    assert download.is_archive(tmp_path / "birds.tgz")
    with pytest.raises(UserError, match="is not unpacked"):
        download.unpack(tmp_path / "birds.tgz", tmp_path / "birds")


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_an_archive_is_known_again_without_what_systems_left_in_it(tmp_path, kind):
    names = ["birds/a.png", "birds/._a.png", "__MACOSX/birds/._a.png", "birds/Thumbs.db"]
    (tmp_path / "birds.zip").write_bytes(archive(kind, names))
    download.unpack(tmp_path / "birds.zip", tmp_path / "birds")
    assert not (tmp_path / "birds/__MACOSX").exists()
    (tmp_path / "birds/Thumbs.db").unlink()
    assert download.is_unpacked(tmp_path / "birds.zip", tmp_path / "birds")
    (tmp_path / "birds/a.png").unlink()
    assert not download.is_unpacked(tmp_path / "birds.zip", tmp_path / "birds")
