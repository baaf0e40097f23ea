"""Whatever lies in a model's folder, it is whole or refused; of weights and checkpoints none is half read."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from fuzzing import DAMAGE, damaged, fuzz, some
from hypothesis import strategies as st
from safetensors.numpy import save

from fairdream.errors import UserError
from fairdream.models import model_files, model_layout, tensor_files
from fairdream.models.weights import check_files
from fairdream.runtime.files import check_whole

TENSORS = {"a.lora_A.weight": np.ones((2, 3), np.float32), "losses": np.zeros(2, np.float32)}
WEIGHTS = save(TENSORS, {"step": "3", "history": '[{"step": 1.0}]', "identity": "0f"})
VALUES = [
    *(None, True, 0, -1, 2**70, 0.5, "", "a", "epsilon", "../../x", "a\0b"),
    *([], ["a"], [None, None], {}, {"a": 1}),
]
# A model's files at their smallest, of which nothing is loaded here.
DIFFUSION = {
    "model_index.json": {
        "_class_name": "StableDiffusionPipeline",
        **{part: ["diffusers", "Kind"] for part in ("unet", "vae", "scheduler")},
        **{part: ["transformers", "Kind"] for part in ("text_encoder", "tokenizer")},
        "safety_checker": [None, None],
    },
    "unet/config.json": {"_class_name": "UNet2DConditionModel"},
    "unet/diffusion_pytorch_model.safetensors": WEIGHTS,
    "vae/config.json": {},
    "vae/1.safetensors": WEIGHTS,
    "vae/diffusion_pytorch_model.safetensors.index.json": {"weight_map": {"a": "1.safetensors"}},
    "text_encoder/config.json": {},
    "text_encoder/model.safetensors": WEIGHTS,
    "tokenizer/tokenizer.json": {},
    "scheduler/scheduler_config.json": {"_class_name": "DDIMScheduler", "prediction_type": "epsilon"},
}
CLIP = {
    "open_clip_config.json": {"model_cfg": {"embed_dim": 8, "text_cfg": {"hf_tokenizer_name": "a"}}},
    "open_clip_model.safetensors": WEIGHTS,
    "tokenizer.json": {},
}
FOLDERS = {"diffusion": DIFFUSION, "clip": CLIP}
KEYS = ["_class_name", "unet", "scheduler", "weight_map", "a", "prediction_type", "model_cfg", "text_cfg"]


def models() -> st.SearchStrategy:
    """Give a model's role and what is done to its files."""
    return st.sampled_from(sorted(FOLDERS)).flatmap(
        lambda role: st.tuples(
            st.just(role),
            some(
                *(
                    st.tuples(st.just(kind), st.sampled_from(sorted(FOLDERS[role])), *how)
                    for kind, how in (
                        ("key", (st.sampled_from(KEYS), st.sampled_from(VALUES))),
                        ("key", (st.sampled_from(KEYS), st.sampled_from(VALUES))),
                        ("whole", (st.sampled_from(VALUES),)),
                        ("damage", (DAMAGE,)),
                        ("remove", ()),
                        ("folder", ()),
                        ("link", ()),
                        ("add", (st.sampled_from(["a.md", ".b", "c/d.txt", "unet/e.fp16.safetensors"]),)),
                    )
                ),
                most=2,
            ),
        )
    )


def plant(folder: Path, case: tuple) -> Path:
    """Write a model's folder with what is done to it."""
    role, edits = case
    files = {name: own if isinstance(own, bytes) else json.dumps(own).encode() for name, own in FOLDERS[role].items()}
    for kind, name, *how in edits:
        own = FOLDERS[role][name]
        if kind == "key" and isinstance(own, dict):
            inner = how[0] in ("text_cfg", "embed_dim") and {"model_cfg": {**own.get("model_cfg", {}), how[0]: how[1]}}
            files[name] = json.dumps({**own, **(inner or {how[0]: how[1]})}).encode()
        elif kind == "whole":
            files[name] = json.dumps(how[0]).encode()
        elif kind == "damage":
            files[name] = damaged(files.get(name, b""), how[0])
        elif kind == "add":
            files[how[0]] = b"more"
        elif kind == "remove":
            files.pop(name, None)
    shutil.rmtree(folder, ignore_errors=True)
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    for kind, name, *_ in edits:
        if kind in ("folder", "link"):
            (folder / name).unlink(missing_ok=True) if not (folder / name).is_dir() else None
            if not (folder / name).exists():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).mkdir() if kind == "folder" else (folder / name).symlink_to("/nowhere/a")
    return folder


def test_a_model_is_whole_or_refused_and_its_manifest_holds_every_file(tmp_path, tell):
    manifest = tmp_path / "models/model.json"

    def read(case: tuple) -> None:
        folder = plant(tmp_path / "model", case)
        model_layout.CHECKS[case[0]](folder)
        count = model_files.write_manifest(manifest, folder, {"id": str(folder)})
        assert count == len(model_files.model_files(folder)) == len(json.loads(manifest.read_text())["files"])
        check_files(str(manifest))
        assert not model_files.refresh(manifest, case[0])

    ended = fuzz("models", models(), read, 1000, tell)
    assert min(ended.values()) > 200


def test_what_is_noted_of_a_model_is_taken_or_made_anew(tmp_path, tell):
    folder = plant(tmp_path / "model", ("clip", []))
    manifest = tmp_path / "models/model.json"
    model_files.write_manifest(manifest, folder, {"id": "a"})
    good = {path: path.read_bytes() for path in (manifest, manifest.with_suffix(".seen.json"))}
    content = st.one_of(st.sampled_from(VALUES).map(lambda value: json.dumps(value).encode()), DAMAGE, st.none())

    def read(case: list) -> None:
        for (path, own), change in zip(good.items(), case, strict=True):
            path.write_bytes(own if change is None else change if isinstance(change, bytes) else damaged(own, change))
        model_files.refresh(manifest, "clip")
        model_files.check_asked_for(manifest, {"id": "a"})
        check_files(str(manifest))

    ended = fuzz("manifests of models", st.tuples(content, content), read, 400, tell)
    assert min(ended.values()) > 25


@pytest.fixture(scope="module")
def headers() -> st.SearchStrategy:
    """Bytes of weights: cut, flipped, or with another header."""
    places = [{"dtype": "F32", "shape": [1], "data_offsets": own} for own in ([4, 0], ["a", 4], [-9, 4], 3, [1.5, 4])]
    values = st.sampled_from([*VALUES, *places])
    size = int.from_bytes(WEIGHTS[:8], "little")
    header = json.loads(WEIGHTS[8 : 8 + size])

    def other(key: str, value: object) -> bytes:
        text = json.dumps({**header, key: value}).encode()
        return len(text).to_bytes(8, "little") + text + WEIGHTS[8 + size :]

    long = st.sampled_from([2**63, 2**64 - 1, 10**9, 0]).map(lambda length: length.to_bytes(8, "little") + WEIGHTS[8:])
    return st.one_of(
        st.just(WEIGHTS),
        st.just(other("__metadata__", {"step": "4", "history": "[]", "identity": "0f"})),
        DAMAGE.map(lambda damage: damaged(WEIGHTS, damage)),
        st.builds(other, st.sampled_from(["losses", "__metadata__", "b"]), values),
        st.builds(other, st.just("__metadata__"), st.just({"step": "x"}) | st.just({"step": "1", "history": "["})),
        long,
    )


def test_weights_are_whole_or_refused(tmp_path, headers, tell):
    path = tmp_path / "a.safetensors"

    def read(content: bytes) -> None:
        path.write_bytes(content)
        metadata = tensor_files.read_metadata(path)
        assert isinstance(metadata, dict)
        check_whole([path])
        assert len(tensor_files.content_digest(path)) == 64

    ended = fuzz("weights", headers, read, 1200, tell)
    assert min(ended.values()) > 100


def test_a_checkpoint_is_read_whole_or_not_at_all(tmp_path, headers, tell):
    from fairdream.classification.checkpoint import Checkpoint
    from fairdream.diffusion.adapters import load_checkpoint

    path = tmp_path / "checkpoint.safetensors"

    def read(content: bytes) -> None:
        path.write_bytes(content)
        found, other = load_checkpoint(path), Checkpoint(path, "0f").load()
        assert other is None or isinstance(other[0], int)
        if found is None:
            raise UserError("nothing is read of it, and the training starts over")
        tensors, losses, step, history = found
        assert "losses" not in tensors
        assert losses.ndim
        assert isinstance(step, int)
        assert isinstance(history, list)

    ended = fuzz("checkpoints", headers, read, 400, tell)
    assert min(ended.values()) > 25
