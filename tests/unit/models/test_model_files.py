"""Models have an identity: wherever they lie, whatever is changed there, and whoever else writes beside it."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from fairdream.errors import UserError
from fairdream.identity import file_digest
from fairdream.models import model_files
from fairdream.models.fetch_model import fetch_model
from fairdream.models.model_files import check_asked_for, refresh
from fairdream.models.weights import check_files, model_identity
from fairdream.reporting.provenance import ProvenanceJob, provenance

RESOURCES = Path(__file__).resolve().parents[3] / "resources"
SNAPSHOT = "home/.cache/huggingface/hub/models--x/snapshots"
WEIGHTS = {"diffusion": "unet/diffusion_pytorch_model.safetensors", "clip": "open_clip_model.safetensors"}
pytestmark = pytest.mark.skipif(not RESOURCES.is_dir(), reason="resources/ is not there")


def embedded(role: str, folder: Path) -> Path:
    return Path(shutil.copytree(RESOURCES / f"tiny-{'sd' if role == 'diffusion' else role}", folder))


def other_weights(file: Path) -> None:
    """Change the last number, as another training would: size and form stay."""
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def asked_for(role: str, path: Path) -> dict:
    return {"id": str(path)} if role == "diffusion" else {"name": f"local-dir:{path}", "pretrained": None}


def fetched(role: str, path: Path, folder: Path) -> str:
    manifest = str(folder / f"{role}.json")
    fetch_model(manifest, role, asked_for(role, path))
    return manifest


@pytest.fixture(params=["diffusion", "clip"])
def role(request) -> str:
    return request.param


@pytest.fixture
def no_reading(monkeypatch) -> None:
    def refuse(path: Path) -> str:
        raise AssertionError(f"{path} is read")

    monkeypatch.setattr(model_files, "file_digest", refuse)


# ---- What is listed


def test_a_model_in_a_hub_s_cache_is_told_from_another_there(role, tmp_path):
    models = [embedded(role, tmp_path / SNAPSHOT / name) for name in "ab"]
    other_weights(models[1] / WEIGHTS[role])
    first, second = (fetched(role, model, tmp_path / model.name) for model in models)
    assert model_identity(first)[WEIGHTS[role]] == file_digest(models[0] / WEIGHTS[role])
    assert model_identity(first) != model_identity(second)
    assert model_identity(first) == model_identity(fetched(role, embedded(role, tmp_path / "plain"), tmp_path))
    told = []
    for manifest in (first, second):
        config = ProvenanceJob(configuration={}, counts={}, origins={}, sources={role: "x"})
        provenance({role: manifest}, str(tmp_path / "c.md"), str(tmp_path / "v.md"), config)
        told += [line for line in (tmp_path / "v.md").read_text().splitlines() if line.startswith(f"| {role}")]
    assert len(set(told)) == 2
    assert not any("| 0 |" in line for line in told)


def test_documents_and_what_is_hidden_below_the_model_s_folder_decide_nothing(role, tmp_path):
    model = embedded(role, tmp_path / "model")
    before = model_identity(fetched(role, model, tmp_path))
    for name in (".cache/huggingface/download/x.lock", ".git/HEAD", ".gitattributes", "LICENSE.md"):
        (model / name).parent.mkdir(parents=True, exist_ok=True)
        (model / name).write_text("a note")
    (model / ".cache/gone").symlink_to("/nowhere")
    assert not any("README" in name for name in before)
    assert model_identity(fetched(role, model, tmp_path)) == before


def test_a_downloaded_file_below_a_hidden_folder_is_listed(tmp_path):
    """Such as an encoder's, where `models.folder` is somebody's cache."""
    file = tmp_path / ".cache/models/resnet50-0676ba61.pth"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"weights")
    model_files.write_manifest(tmp_path / "encoder.json", file, {})
    assert model_identity(str(tmp_path / "encoder.json")) == {file.name: file_digest(file)}


def test_parts_that_are_links_to_folders_are_listed_and_loops_end(tmp_path):
    model = embedded("diffusion", tmp_path / "model")
    before = model_identity(fetched("diffusion", model, tmp_path))
    shutil.move(model / "unet", tmp_path / "own-unet")
    (model / "unet").symlink_to(tmp_path / "own-unet")
    assert model_identity(fetched("diffusion", model, tmp_path)) == before
    (tmp_path / "own-unet/again").symlink_to(model)
    assert model_identity(fetched("diffusion", model, tmp_path)) == before


def test_a_model_without_files_is_refused(tmp_path):
    (tmp_path / "model/.cache").mkdir(parents=True)
    (tmp_path / "model/.cache/weights.safetensors").write_bytes(b"hidden")
    with pytest.raises(UserError, match="has no file that tells this model from another"):
        model_files.write_manifest(tmp_path / "clip.json", tmp_path / "model", {})
    assert not (tmp_path / "clip.json").exists()


def test_random_weights_have_a_manifest_without_files(tmp_path):
    fetch_model(str(tmp_path / "encoder.json"), "encoder", {"name": "small_cnn"})
    assert model_identity(str(tmp_path / "encoder.json")) == {}
    assert not refresh(tmp_path / "encoder.json", "encoder")


# ---- What changed since


def replace(model: Path, role: str) -> None:
    other_weights(model / WEIGHTS[role])


def lead_elsewhere(model: Path, role: str) -> None:
    """As a hub's cache does, with a link to a file of the same size and time."""
    file = model / WEIGHTS[role]
    blob = file.with_name("blob")
    shutil.copy2(file, blob)
    other_weights(blob)
    os.utime(blob, ns=(file.stat().st_atime_ns, file.stat().st_mtime_ns))
    blob.rename(model.with_name("blob"))
    file.unlink()
    file.symlink_to(model.with_name("blob"))


def exchange(model: Path, role: str) -> None:
    """The folder was a link, and leads to another now."""
    other = shutil.copytree(model, model.with_name("other"))
    other_weights(other / WEIGHTS[role])
    model.rename(model.with_name("first"))
    model.symlink_to(other)


@pytest.mark.parametrize("change", [replace, lead_elsewhere, exchange])
def test_a_model_that_was_changed_in_place_is_read_anew(role, change, tmp_path):
    model = embedded(role, tmp_path / "model")
    manifest = fetched(role, model, tmp_path / "models")
    before = model_identity(manifest)
    change(model, role)
    assert refresh(manifest, role)
    after = model_identity(manifest)
    assert {name for name in before if after[name] != before[name]} == {WEIGHTS[role]}
    assert not refresh(manifest, role)
    check_asked_for(manifest, json.loads(Path(manifest).read_text())["model"])


def test_only_the_file_that_differs_is_read(tmp_path, monkeypatch):
    model = embedded("diffusion", tmp_path / "model")
    manifest = fetched("diffusion", model, tmp_path / "models")
    read = []
    monkeypatch.setattr(model_files, "file_digest", lambda path: read.append(path) or file_digest(path))
    os.utime(model / "vae/config.json")
    assert not refresh(manifest, "diffusion")
    assert read == [model / "vae/config.json"]


def test_a_model_as_it_was_is_not_read(role, tmp_path, no_reading):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model_files, "file_digest", file_digest)
        manifest = fetched(role, embedded(role, tmp_path / "model"), tmp_path / "models")
    assert not refresh(manifest, role)


def test_a_touched_model_leaves_its_manifest_alone(role, tmp_path, monkeypatch):
    model = embedded(role, tmp_path / "model")
    manifest = Path(fetched(role, model, tmp_path / "models"))
    before = manifest.stat().st_mtime_ns
    for file in model.rglob("*"):
        os.utime(file)
    assert not refresh(manifest, role)
    assert manifest.stat().st_mtime_ns == before
    monkeypatch.setattr(model_files, "file_digest", lambda path: pytest.fail(f"{path} is read once more"))
    assert not refresh(manifest, role)


def test_a_manifest_that_was_put_back_is_made_to_fit(tmp_path):
    """From another copy of the results, beside a note that is of today's model."""
    model = embedded("clip", tmp_path / "model")
    manifest = Path(fetched("clip", model, tmp_path / "models"))
    old = manifest.read_text()
    other_weights(model / WEIGHTS["clip"])
    assert refresh(manifest, "clip")
    manifest.write_text(old)
    assert refresh(manifest, "clip")
    assert model_identity(str(manifest))[WEIGHTS["clip"]] == file_digest(model / WEIGHTS["clip"])


@pytest.mark.parametrize(
    "content", ["", "[]", '{"open_clip_model.safetensors": {}}', '{"open_clip_model.safetensors": []}']
)
def test_a_damaged_note_costs_a_reading(content, tmp_path):
    model = embedded("clip", tmp_path / "model")
    manifest = Path(fetched("clip", model, tmp_path / "models"))
    manifest.with_name("clip.seen.json").write_text(content)
    assert not refresh(manifest, "clip")
    other_weights(model / WEIGHTS["clip"])
    assert refresh(manifest, "clip")


def test_what_takes_a_model_s_place_must_be_whole(role, tmp_path):
    model = embedded(role, tmp_path / "model")
    manifest = Path(fetched(role, model, tmp_path / "models"))
    before = manifest.read_text()
    (model / WEIGHTS[role]).write_bytes(b"cut off")
    with pytest.raises(UserError, match="or not copied to its end"):
        refresh(manifest, role)
    assert manifest.read_text() == before


@pytest.mark.parametrize("remove", [shutil.rmtree, lambda model: next(model.rglob("*.safetensors")).unlink()])
def test_a_removed_model_is_left_to_the_check_at_the_start_of_a_run(role, remove, tmp_path):
    model = embedded(role, tmp_path / "model")
    manifest = Path(fetched(role, model, tmp_path / "models"))
    before = manifest.read_text()
    remove(model)
    assert not refresh(manifest, role)
    assert manifest.read_text() == before
    with pytest.raises(UserError, match="delete that file to fetch it again"):
        check_files(str(manifest))


def test_a_model_that_was_saved_in_other_files_is_taken_up(tmp_path):
    model = embedded("clip", tmp_path / "model")
    manifest = fetched("clip", model, tmp_path / "models")
    (model / WEIGHTS["clip"]).rename(model / "model.safetensors")
    assert refresh(manifest, "clip")
    check_files(manifest)


def test_no_manifest_no_reading(tmp_path, no_reading):
    assert not refresh(tmp_path / "models/diffusion.json", "diffusion")
    assert not list(tmp_path.iterdir())


# ---- Who else writes there


def test_a_manifest_of_another_configuration_s_model_is_refused(tmp_path):
    mine, other = (embedded("clip", tmp_path / name) for name in ("mine", "other"))
    manifest = fetched("clip", mine, tmp_path / "models")
    check_asked_for(manifest, asked_for("clip", mine))
    fetched("clip", other, tmp_path / "models")
    with pytest.raises(UserError, match=r"another configuration's model .*other.* its own models\.folder"):
        check_asked_for(manifest, asked_for("clip", mine))


def test_revisions_of_a_hub_s_model_are_kept_apart(tmp_path, monkeypatch):
    """What one leaves would be taken for a part of the other."""
    huggingface_hub = pytest.importorskip("huggingface_hub")
    given: list[Path] = []

    def download(name: str, local_dir: Path, **_: object) -> None:
        given.append(local_dir)
        embedded("diffusion", local_dir)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    for revision in ("a" * 40, "refs/pr/1"):
        fetch_model(str(tmp_path / "diffusion.json"), "diffusion", {"id": "them/model", "revision": revision})
    assert [path.name for path in given] == [f"them--model--{'a' * 40}", "them--model--refs--pr--1"]
    assert all(path.parent == tmp_path for path in given)


@pytest.fixture
def unwritable(monkeypatch) -> Callable[[], None]:
    def refuse(path: Path, text: str) -> bool:
        if Path(path).is_file() and Path(path).read_text() == text:
            return False
        raise PermissionError(13, "Permission denied", str(path))

    return lambda: monkeypatch.setattr(model_files, "write_if_changed", refuse)


def test_a_touched_model_beside_a_manifest_that_may_not_be_written_is_read_at_each_start(tmp_path, unwritable):
    model = embedded("clip", tmp_path / "model")
    manifest = fetched("clip", model, tmp_path / "models")
    unwritable()
    os.utime(model / WEIGHTS["clip"])
    assert not refresh(manifest, "clip")
    other_weights(model / WEIGHTS["clip"])
    with pytest.raises(UserError, match=r"models\.folder: .*models cannot be written.*give yourself the permission"):
        refresh(manifest, "clip")
