"""Wrong images, damaged files, models, archives and commands: the words of the message, the exit, never a traceback.

The rows of a data set with a wrong image are read as the workflow reads it: manifest, then index.
"""

import io
import json
import os
import shutil
import struct
import subprocess
import sys
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from refusals import ROOT, Case, Table, check, documented, give_up_network, give_up_root
from safetensors.numpy import save_file
from test_bad_input import CASES as INPUTS
from test_bad_input import data
from test_bad_own_data import CASES as OWN_DATA
from test_infer_attributes import REFUSED as NOT_INFERRED
from test_listing import CASES as FOLDERS
from test_repairs import LEFT_OUT
from test_slurm_submission import NO_PROGRAM, NOT_SUBMITTED
from test_xrm import NO_SHORTCUT

from fairdream.__main__ import main
from fairdream.classification import checkpoint
from fairdream.data import download
from fairdream.data.images import encode_png, iter_pngs, open_rgb, write_shard
from fairdream.diffusion import adapters
from fairdream.models import fetch_model, model_files, model_layout, weights
from fairdream.runtime import files

TINY = ROOT / "resources/tiny-sd"
CASES = Table()
NAME = "train-10.png"  # the image that is spoilt


# Images.


def png(width: int, height: int, *others: tuple[bytes, bytes]) -> bytes:
    """Return a PNG that says its size, has next to nothing inside, and other chunks before that."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    parts = [(b"IHDR", header), *others, (b"IDAT", zlib.compress(bytes(100))), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def image(name: str, *words: str, spoil: Callable[[Path], object]) -> None:
    """Add a row: a data set with one spoilt image."""

    @CASES.add(name, *words)
    def plant(folder: Path) -> Callable:
        read = data(folder)
        spoil(folder / "images" / NAME)
        return read


def link_to(target: str) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        path.unlink()
        path.symlink_to(target)

    return spoil


def saved(mode: str, kind: str) -> Callable[[Path], None]:
    return lambda path: Image.new(mode, (4, 4)).save(path, format=kind)


BROKEN = ("cannot be opened", f"images/{NAME}")
image("an image of no bytes", *BROKEN, "cannot identify image file", spoil=lambda path: path.write_bytes(b""))
image("a text with the ending of an image", *BROKEN, "cannot identify", spoil=lambda path: path.write_text("<html>"))
image("an image cut off", *BROKEN, "truncated", spoil=lambda path: path.write_bytes(encode_png(noise())[:900]))
image("pixels of 32 bits", *BROKEN, "save it with 8 or 16 bits", spoil=saved("F", "TIFF"))
image("a bomb of a gigapixel", *BROKEN, "pixels", spoil=lambda path: path.write_bytes(png(50_000, 20_000)))
image(
    "a bomb that Pillow warns of only",
    "make it smaller",
    *BROKEN,
    "10000 x 10000 pixels are more than 89478485",
    spoil=lambda path: path.write_bytes(png(10_000, 10_000)),
)
image(
    "a bomb of text",
    "a text or colour profile in it unfolds to more than",
    *BROKEN,
    spoil=lambda path: path.write_bytes(png(8, 8, (b"zTXt", b"Comment\0\0" + zlib.compress(bytes(17 * 2**20))))),
)
image("a link to itself", "a link that leads nowhere, or to itself", NAME, spoil=link_to(NAME))
image("a link to nothing", "a link that leads nowhere, or to itself", NAME, spoil=link_to("/nowhere/a.png"))
image(
    "an ending that no image has",
    "image(s) of the table are missing",
    f"{NAME} (row 4 of metadata.csv)",
    spoil=lambda path: path.rename(path.with_suffix(".dat")),
)
image(
    "a name that is not UTF-8",
    "whose name is not UTF-8",
    r"images/caf\xe9.png",
    "rename them",
    spoil=lambda path: shutil.copy(path, path.with_name(os.fsdecode(b"caf\xe9.png"))),
)


def noise() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8))


@CASES.add("an image that its reader may not read", "make it readable (chmod)", NAME, "Permission denied")
def _(folder: Path) -> Callable:
    home = public_folder()
    read = data(home)
    (home / "images" / NAME).chmod(0)
    return unprivileged(read)


def public_folder() -> Path:
    """Return a folder that another user can reach, unlike pytest's; the system removes what is left in /tmp."""
    home = Path(tempfile.mkdtemp())
    home.chmod(0o755)
    return home


def unprivileged(function: Callable) -> Callable:
    def run() -> None:
        give_up_root()
        function()

    return run


# Damaged files, and places that cannot be written.


def shard(folder: Path) -> Path:
    path = folder / "000000-000002.parquet"
    write_shard(path, [{"id": f"a-x/s/{n:06d}", "image": encode_png(noise())} for n in range(2)], {})
    return path


def cut(path: Path, size: int) -> Path:
    path.write_bytes(path.read_bytes()[:size])
    return path


def damaged(name: str, file: str, content: bytes, *words: str) -> None:
    """Add a row: a file that a job is given as its input."""

    @CASES.add(name, "; delete it and start again, it is recreated", file, *words)
    def plant(folder: Path) -> Callable:
        (folder / file).write_bytes(content)
        return lambda: files.check_whole([folder / file])


def some_weights() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        save_file({"a": np.zeros(100, np.float32)}, f"{folder}/w")
        return Path(folder, "w").read_bytes()


damaged("an adapter cut off", "pytorch_lora_weights.safetensors", some_weights()[:200], "it has 200 bytes of")
damaged("an adapter of no bytes", "pytorch_lora_weights.safetensors", b"", "it is empty")
damaged("weights that are none", "stage1.safetensors", bytes(range(200)), "it is no safetensors file")
damaged(
    "weights with a tensor that ends before it begins",
    "stage1.safetensors",
    some_weights().replace(b"[0,400]", b"[9,400]").replace(b"[9,400]", b"[900,4]"),
    "the place of a tensor in it is none",
)
damaged("metrics of half a file", "llr_all.metrics.json", b'{"test": {"wga', "it is no json file")
damaged("scores that are none", "000000-000100.parquet", b"PAR1" * 10 + b"none", "it is no whole Parquet file")


@CASES.add(
    "a shard cut off", "; delete it and start again, it is recreated", "000000-000002.parquet", "no whole Parquet"
)
def _(folder: Path) -> Callable:
    path = cut(shard(folder), 1000)
    return lambda: files.check_whole([path])


@CASES.add("a shard altered inside", "; delete it and start again, it is recreated", "000000-000002.parquet: damaged")
def _(folder: Path) -> Callable:
    path = shard(folder)
    content = path.read_bytes()
    path.write_bytes(content[:4] + b"\xff" * 40 + content[44:])
    files.check_whole([path])
    return lambda: list(iter_pngs(path)) and None


@CASES.add("a shard with a broken image", "delete this file to have it recreated", "000002.parquet, image a-x/s/000001")
def _(folder: Path) -> Callable:
    path = folder / "000000-000002.parquet"
    rows = [encode_png(noise()), encode_png(noise())[:300]]
    write_shard(path, [{"id": f"a-x/s/{n:06d}", "image": png} for n, png in enumerate(rows)], {})
    return lambda: [open_rgb(png) for _, png in iter_pngs(path)] and None


@CASES.add("a classifier's checkpoint cut off", "the training starts over", "stage1.checkpoint", status=0)
def _(folder: Path) -> Callable:
    path = folder / "stage1.checkpoint"
    path.write_bytes(some_weights()[:200])
    return lambda: checkpoint.Checkpoint(path, "identity").load()


@CASES.add("an adapter's checkpoint cut off", "the training starts over", "checkpoint.safetensors", status=0)
def _(folder: Path) -> Callable:
    path = folder / "checkpoint.safetensors"
    path.write_bytes(some_weights()[:200])
    return lambda: adapters.load_checkpoint(path)


def without_its_step(folder: Path) -> Path:
    save_file({"losses": np.zeros(1, np.float32)}, folder / "checkpoint.safetensors", {"identity": "identity"})
    return folder / "checkpoint.safetensors"


@CASES.add("a classifier's checkpoint without its step", "the training starts over", "'step'", status=0)
def _(folder: Path) -> Callable:
    return lambda: checkpoint.Checkpoint(without_its_step(folder), "identity").load()


@CASES.add("an adapter's checkpoint without its step", "the training starts over", "'step'", status=0)
def _(folder: Path) -> Callable:
    return lambda: adapters.load_checkpoint(without_its_step(folder))


@CASES.add("results that may not be written", "give yourself the permission", "Permission denied", ".out.")
def _(folder: Path) -> Callable:
    home = public_folder()
    return unprivileged(lambda: files.write_text(home / "out.json", "{}"))


@CASES.add("results that may not be written, at the start of a run", "cannot be written", "store", "Permission denied")
def _(folder: Path) -> Callable:
    home = public_folder()
    return unprivileged(lambda: files.check_locks(home / "results/store"))


@CASES.add("results that are a file", "cannot be written", "results/store", "Not a directory")
def _(folder: Path) -> Callable:
    (folder / "results").write_text("in the way")
    return lambda: files.check_locks(folder / "results/store")


# Models.


def diffusion(folder: Path, path: Path) -> Callable:
    return lambda: fetch_model.fetch_model(str(folder / "m/diffusion.json"), "diffusion", {"id": str(path)})


def tiny(folder: Path) -> Path:
    return Path(shutil.copytree(TINY, folder / "model"))


@CASES.add("a folder that is no model", "no diffusers model here", "model_index.json is missing")
def _(folder: Path) -> Callable:
    return diffusion(folder, ROOT / "resources/tiny-clip")


@CASES.add(
    "a base model that predicts the image itself",
    "they would learn another target than the base model's",
    "scheduler_config.json: prediction_type is sample",
    "epsilon or v_prediction",
)
def _(folder: Path) -> Callable:
    shutil.copytree(ROOT / "resources/tiny-sd", folder / "model")
    schedule = folder / "model/scheduler/scheduler_config.json"
    schedule.write_text(schedule.read_text().replace('"epsilon"', '"sample"'))
    assert "sample" in schedule.read_text()
    return lambda: model_layout.check_diffusion(folder / "model")


@CASES.add("a base model of another family", "not of the SD 1, SD 2 or SDXL family", "FluxPipeline")
def _(folder: Path) -> Callable:
    model = tiny(folder)
    (model / "model_index.json").write_text('{"_class_name": "FluxPipeline"}')
    return diffusion(folder, model)


@CASES.add("a model index that is none", "cannot be read as a diffusers model's index", "model_index.json")
def _(folder: Path) -> Callable:
    model = tiny(folder)
    (model / "model_index.json").write_text("<html>")
    return diffusion(folder, model)


@CASES.add("pickled weights", "has no weights in safetensors", "vae/", "pickled ones (.bin, .ckpt) can run code")
def _(folder: Path) -> Callable:
    model = tiny(folder)
    (model / "vae/diffusion_pytorch_model.safetensors").rename(model / "vae/diffusion_pytorch_model.bin")
    return diffusion(folder, model)


@CASES.add("weights of the base model cut off", "or not copied to its end", "unet/diffusion_pytorch_model.safetensors")
def _(folder: Path) -> Callable:
    model = tiny(folder)
    cut(model / "unet/diffusion_pytorch_model.safetensors", 100_000)
    return diffusion(folder, model)


def spoiled(name: str, spoil: Callable[[Path], None], *words: str, source: str = "tiny-sd") -> None:
    """Add a row: a copy of an embedded model that something was done to."""

    @CASES.add(name, *words)
    def plant(folder: Path) -> Callable:
        model = Path(shutil.copytree(ROOT / "resources" / source, folder / "model"))
        spoil(model)
        role, values = (
            ("diffusion", {"id": str(model)})
            if source == "tiny-sd"
            else ("clip", {"name": f"local-dir:{model}", "pretrained": None})
        )
        return lambda: fetch_model.fetch_model(str(folder / f"m/{role}.json"), role, values)


def into_snapshot(model: Path) -> None:
    """Make a folder a hub's cache of one model."""
    model.rename(model.with_name("snapshot"))
    (model / "refs").mkdir(parents=True)
    (model / "snapshots").mkdir()
    model.with_name("snapshot").rename(model / "snapshots/0123abc")


def as_variant(model: Path) -> None:
    for file in list(model.rglob("*.safetensors")):
        file.rename(file.with_suffix(".fp16.safetensors"))


def in_shards(model: Path) -> None:
    """Write an index of two shards, of which one is there."""
    whole = model / "unet/diffusion_pytorch_model.safetensors"
    names = [f"diffusion_pytorch_model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    whole.rename(whole.with_name(names[0]))
    index = {"metadata": {}, "weight_map": {"conv_in.bias": names[0], "conv_out.bias": names[1]}}
    whole.with_name(f"{whole.name}.index.json").write_text(json.dumps(index))


def with_part(part: str, kind: str) -> Callable[[Path], None]:
    """Return what names one part more in a model's index."""

    def spoil(model: Path) -> None:
        index = json.loads((model / "model_index.json").read_text())
        (model / "model_index.json").write_text(json.dumps({**index, part: ["transformers", kind]}))

    return spoil


def without(*names: str) -> Callable[[Path], None]:
    def spoil(model: Path) -> None:
        for name in names:
            shutil.rmtree(model / name) if (model / name).is_dir() else (model / name).unlink()

    return spoil


def to_nothing(name: str) -> Callable[[Path], None]:
    """Return what makes a file a link whose end was removed, as in a hub's cache that was cleared."""

    def spoil(model: Path) -> None:
        (model / name).unlink(missing_ok=True)
        (model / name).symlink_to("../../blobs/0123abc")

    return spoil


MISSING = "is missing from the model"
spoiled(
    "a hub's cache", into_snapshot, "no diffusers model here", "name the folder below it", "model/snapshots/0123abc"
)
spoiled(
    "a hub's cache of a CLIP",
    into_snapshot,
    "no open_clip model here",
    "name the folder below it",
    "model/snapshots/0123abc",
    source="tiny-clip",
)
spoiled(
    "a variant of the weights alone",
    as_variant,
    "a variant of the weights",
    "unet/diffusion_pytorch_model.fp16.safetensors",
    "rename this file to diffusion_pytorch_model.safetensors",
)
spoiled("weights without a shard", in_shards, MISSING, "unet/diffusion_pytorch_model-00002-of-00002.safetensors")
spoiled(
    "an index of shards that is none",
    lambda model: (model / "vae/diffusion_pytorch_model.safetensors.index.json").write_text("[]"),
    "cannot be read as an index of shards",
    "vae/diffusion_pytorch_model.safetensors.index.json",
)
spoiled(
    "an open_clip configuration without a model",
    lambda model: (model / "open_clip_config.json").write_text('{"model_cfg": null}'),
    "cannot be read as an open_clip model's configuration",
    "model_cfg is None",
    source="tiny-clip",
)
spoiled(
    "an index of shards without their names",
    lambda model: (model / "vae/diffusion_pytorch_model.safetensors.index.json").write_text('{"weight_map": []}'),
    "cannot be read as an index of shards",
    "weight_map is []",
)
spoiled("a model without its tokenizer", without("tokenizer"), MISSING, "tokenizer/tokenizer.json")
spoiled("a model without its schedule", without("scheduler"), MISSING, "scheduler/scheduler_config.json")
spoiled("a network without its shape", without("unet/config.json"), MISSING, "unet/config.json")
spoiled(
    "a network's shape cut off",
    lambda model: cut(model / "text_encoder/config.json", 20),
    "or not copied to its end",
    "text_encoder/config.json",
)
spoiled(
    "a second text encoder that is named and not there",
    with_part("text_encoder_2", "CLIPTextModelWithProjection"),
    "has no weights in safetensors",
    "text_encoder_2/",
)
spoiled(
    "a second tokenizer that is named and not there",
    with_part("tokenizer_2", "CLIPTokenizer"),
    MISSING,
    "tokenizer_2/tokenizer.json",
)
spoiled(
    "a feature extractor that is named and not there",
    with_part("feature_extractor", "CLIPImageProcessor"),
    MISSING,
    "feature_extractor/preprocessor_config.json",
)
spoiled(
    "a link of a model that leads nowhere",
    to_nothing("unet/notes.txt"),
    "is a link to nothing",
    "unet/notes.txt",
)
spoiled(
    "weights that are a link to nowhere",
    to_nothing("vae/diffusion_pytorch_model.safetensors"),
    "is a link to nothing",
    "vae/diffusion_pytorch_model.safetensors",
)
spoiled(
    "an index that is a link to nowhere",
    to_nothing("model_index.json"),
    "is a link to nothing",
    "model_index.json",
)
spoiled(
    "a CLIP without weights",
    without("open_clip_model.safetensors"),
    "no CLIP weights here",
    "open_clip_model.safetensors",
    source="tiny-clip",
)
spoiled(
    "a CLIP cut off",
    lambda model: cut(model / "open_clip_model.safetensors", 10_000),
    "or not copied to its end",
    "open_clip_model.safetensors",
    source="tiny-clip",
)
spoiled(
    "a CLIP without its words",
    without("tokenizer.json", "vocab.json", "merges.txt"),
    MISSING,
    "tokenizer.json",
    source="tiny-clip",
)
spoiled(
    "a CLIP's settings that are none",
    lambda model: (model / "open_clip_config.json").write_text("{}"),
    "cannot be read as an open_clip model's configuration",
    "open_clip_config.json",
    source="tiny-clip",
)


@CASES.add("a tag that open_clip does not know", "open_clip has no weights", "opnai of ViT-L-14", "it has openai")
def _(folder: Path) -> Callable:
    values = {"name": "ViT-L-14", "pretrained": "opnai"}
    return lambda: fetch_model.fetch_model(str(folder / "clip.json"), "clip", values)


@CASES.add("a CLIP without a tag", "open_clip has no weights", "None of ViT-L-14", "it has openai")
def _(folder: Path) -> Callable:
    values = {"name": "ViT-L-14", "pretrained": None}
    return lambda: fetch_model.fetch_model(str(folder / "clip.json"), "clip", values)


@CASES.add("a model without files", "has no file that tells this model from another", "model")
def _(folder: Path) -> Callable:
    (folder / "model/.cache").mkdir(parents=True)
    return lambda: model_files.write_manifest(folder / "m/clip.json", folder / "model", {})


@CASES.add("manifests inside the model's folder", "is inside the model's own folder", "models.folder", "model/m")
def _(folder: Path) -> Callable:
    model = tiny(folder)
    return lambda: fetch_model.fetch_model(str(model / "m/diffusion.json"), "diffusion", {"id": str(model)})


@CASES.add("a model of another configuration", "is of another configuration's model", "diffusion.json", "id: a")
def _(folder: Path) -> Callable:
    content = {"path": "a", "files": {}, "model": {"id": "a", "revision": None}}
    (folder / "diffusion.json").write_text(json.dumps(content))
    return lambda: model_files.check_asked_for(folder / "diffusion.json", {"id": "b", "revision": None})


@CASES.add("a changed model beside a folder that may not be written", "give yourself the permission", "models.folder")
def _(folder: Path) -> Callable:
    home = public_folder()
    model, manifest = home / "tiny-clip", home / "models/clip.json"
    shutil.copytree(ROOT / "resources/tiny-clip", model)
    fetch_model.fetch_model(str(manifest), "clip", {"name": f"local-dir:{model}", "pretrained": None})
    (model / "vocab.json").write_text("{}")
    return unprivileged(lambda: model_files.refresh(manifest, "clip"))


@CASES.add("a model that may not be read", "make it readable (chmod), or fetch it again", "vocab.json", "Permission")
def _(folder: Path) -> Callable:
    home = public_folder()
    model, manifest = home / "tiny-clip", home / "models/clip.json"
    shutil.copytree(ROOT / "resources/tiny-clip", model)
    fetch_model.fetch_model(str(manifest), "clip", {"name": f"local-dir:{model}", "pretrained": None})
    (model / "vocab.json").write_text("{}")
    (model / "vocab.json").chmod(0)
    return unprivileged(lambda: model_files.refresh(manifest, "clip"))


@CASES.add("a model's manifest that is none", "; delete it and start again, it is recreated", "diffusion.json")
def _(folder: Path) -> Callable:
    (folder / "diffusion.json").write_text('{"path": ')
    return lambda: weights.check_files(str(folder / "diffusion.json"))


@CASES.add("a model's manifest of something else", "; delete it and start again, it is recreated", "diffusion.json")
def _(folder: Path) -> Callable:
    (folder / "diffusion.json").write_text('{"path": null}')
    return lambda: weights.check_files(str(folder / "diffusion.json"))


@CASES.add("a model that was removed", "is gone; delete that file to fetch it again", "/nowhere")
def _(folder: Path) -> Callable:
    (folder / "clip.json").write_text('{"path": "/nowhere", "files": {}}')
    return lambda: weights.check_files(str(folder / "clip.json"))


@CASES.add("an adapter of another base model", "is no adapter of the base model", "weights.safetensors")
def _(folder: Path) -> Callable:
    from test_families import sampling

    from fairdream.diffusion.pipeline import load_pipeline

    name = "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.lora_"
    save_file(
        {f"{name}A.weight": np.zeros((2, 768), np.float32), f"{name}B.weight": np.zeros((320, 2), np.float32)},
        folder / "weights.safetensors",
    )
    return lambda: load_pipeline(str(TINY), str(folder / "weights.safetensors"), sampling()) and None


def steps(name: str, *words: str, **values: object) -> None:
    """Add a row: steps that only the job's own scheduler tells of, as of a file with noise levels of its own."""

    @CASES.add(name, *words)
    def plant(folder: Path) -> Callable:
        from test_families import sampling

        from fairdream.diffusion.pipeline import load_pipeline

        return lambda: load_pipeline(str(TINY), None, sampling(timestep_spacing="leading", **values)) and None


steps(
    "steps that begin without noise, in the job",
    "another generate.timestep_spacing or scheduler",
    "so the images would be pale",
    "2 steps of DDIMScheduler begin at timestep 501",
    num_inference_steps=2,
)
steps(
    "a step that is none of the base model's",
    "which the base model does not know",
    "have one at timestep 1000",
    num_inference_steps=1000,
)
steps(
    "steps that a scheduler cannot make",
    "cannot be made (",
    "51 steps of LCMScheduler",
    scheduler="LCMScheduler",
    num_inference_steps=51,
)


def offline(name: str, role: str, values: dict, *words: str) -> None:
    """Add a row: a model that is fetched without a network."""

    @CASES.add(name, "Without network, copy", "name resolution", *words)
    def plant(folder: Path) -> Callable:
        def run() -> None:
            give_up_network()
            fetch_model.fetch_model(str(folder / f"{role}.json"), role, values)

        return run


hub = {"id": "CompVis/stable-diffusion-v1-4", "revision": "0" * 40}
offline("a base model offline", "diffusion", hub, "set models.diffusion.id to that folder")
offline("a CLIP offline", "clip", {"name": "ViT-L-14", "pretrained": "openai"}, "local-dir:FOLDER")
offline(
    "an encoder offline", "encoder", {"name": "resnet50", "weights": "IMAGENET1K_V1"}, "resnet50-0676ba61.pth there"
)


@CASES.add("weights of an encoder that has no such", "Look at models.encoder.weights", "IMAGENET9")
def _(folder: Path) -> Callable:
    values = {"name": "resnet50", "weights": "IMAGENET9"}
    return lambda: fetch_model.fetch_model(str(folder / "encoder.json"), "encoder", values)


@CASES.add("a data set offline", "are kept in", "name resolution", "birds.archive.part for the next call")
def _(folder: Path) -> Callable:
    def run() -> None:
        give_up_network()
        download.fetch("https://example.org/birds.zip", folder / "birds.archive", None, retries=0)

    return run


# Archives.


def tar(*members: tarfile.TarInfo | str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as file:
        for member in members:
            own = member if isinstance(member, tarfile.TarInfo) else tarfile.TarInfo(member)
            own.size = 0 if own.type != tarfile.REGTYPE else 2000
            file.addfile(own, io.BytesIO(os.urandom(own.size)))
    return buffer.getvalue()


def link(name: str, target: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = tarfile.SYMTYPE, target
    return member


def same_as(name: str, target: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = tarfile.LNKTYPE, target
    return member


def dated(name: str, seconds: float) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.mtime = seconds
    return member


def device(name: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type = tarfile.CHRTYPE
    return member


def zipped(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name in names:
            file.writestr(name, "evil")
    return buffer.getvalue()


def archive(name: str, content: bytes, *words: str) -> None:
    """Add a row: an archive that is not unpacked, and leaves nothing behind."""

    @CASES.add(name, *words, "birds.archive")
    def plant(folder: Path) -> Callable:
        (folder / "data").mkdir()
        (folder / "data/birds.archive").write_bytes(content)
        before = sorted(folder.rglob("*"))

        def run() -> None:
            try:
                download.unpack(folder / "data/birds.archive", folder / "data/birds")
            finally:
                left = set(folder.rglob("*")) - {*before, folder / "job.log"}
                assert not left, left

        return run


REFUSED = ("is not unpacked", "look at download.url")
archive("an archive cut off", tar("a.png", "b.png")[:2500], *REFUSED)
archive("an archive that leaves its folder", tar("../evil"), *REFUSED, "../evil")
archive("an archive with a whole path", tar(link("passwd", "/etc/passwd")), *REFUSED, "passwd")
archive("an archive that writes through a link", tar(link("out", "../.."), "out/evil"), *REFUSED, "out")
archive("an archive with a device", tar(device("null")), *REFUSED, "null")
archive("a zip that leaves its folder", zipped("../evil"), *REFUSED, "'../evil' would be outside of the folder")
archive("a zip with a whole path", zipped("/tmp/evil"), *REFUSED, "would be outside of the folder")
archive("a zip with altered bytes", zipped("a.csv").replace(b"evil", b"live"), *REFUSED, "CRC")
archive("an archive with nothing in it", zipped(), *REFUSED, "nothing is in it")
archive("an archive of a file that is a folder too", zipped("a", "a/b.png"), *REFUSED, "a")
archive("an archive with a name that no file can have", zipped("a" * 300), *REFUSED, "File name too long")
archive("an archive with a link to what is not in it", tar(same_as("a.png", "b.png")), *REFUSED, "'b.png' not found")
archive("an archive of no time", tar(dated("a.png", 1e300)), *REFUSED, "out of range")
archive("a page for an archive", b"<html>", "neither a tar nor a zip archive", "look at download.url")


# Commands: `python -m fairdream …`.


def command(name: str, arguments: Callable[[Path], list[str]], *words: str, status: int = 1) -> None:
    """Add a row: a command line."""

    @CASES.add(name, *words, status=status)
    def plant(folder: Path) -> Callable:
        given = arguments(folder)

        def run() -> int:
            sys.argv = ["fairdream", *given]
            return main()

        return run


def classifier_file(folder: Path) -> str:
    """Write an untrained classifier of 32 pixels."""
    from fairdream.classification import classifier
    from fairdream.config.models import EncoderModel

    network = classifier.build(EncoderModel(name="small_cnn", weights=None), None, 2)
    classifier.save(network, str(folder / "model.safetensors"), ["even", "odd"], 32)
    return str(folder / "model.safetensors")


def written(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    return str(path)


def picture(folder: Path, name: bytes = b"a.png") -> str:
    return written(folder / os.fsdecode(name), encode_png(noise()))


def dark(folder: Path) -> str:
    """Write an image of 16 bits with values of twelve."""
    Image.fromarray(np.full((8, 8), 4000, np.uint16)).save(folder / "dark.png")
    return str(folder / "dark.png")


command("a model that is not there", lambda f: ["predict", str(f / "model"), "a.png"], "no classifier there", "model")
command(
    "a model that is none",
    lambda f: ["predict", written(f / "m.safetensors", b"none"), picture(f)],
    "is no classifier of FairDream",
    "m.safetensors",
)
command(
    "weights of something else",
    lambda f: ["predict", written(f / "m.safetensors", some_weights()), picture(f)],
    "is no classifier of FairDream",
    "m.safetensors",
)
command(
    "no image", lambda f: ["predict", classifier_file(f), str(f / "gone.png")], "no image that can be read", "gone.png"
)
command(
    "a broken image beside a whole one",
    lambda f: ["predict", classifier_file(f), picture(f), written(f / "b.png", b"")],
    "cannot identify image file",
    "b.png",
    "a.png,",
)
command(
    "twelve bits in sixteen",
    lambda f: ["predict", classifier_file(f), picture(f), dark(f)],
    "so they are nearly black",
    "1 image(s) of 16 bits use the lower 12 alone, first ",
    "dark.png, whose largest value is 4000",
    status=0,
)
command(
    "an image whose name is not UTF-8",
    lambda f: ["predict", classifier_file(f), picture(f), picture(f, b"caf\xe9.png")],
    "its name is not UTF-8; rename it",
    r"caf\xe9.png",
    "a.png,",
)
command(
    "an output in the place of a file's inside",
    lambda f: ["predict", classifier_file(f), picture(f), "--output", str(f / "a.png/out.csv")],
    "File exists",
    "a.png",
)
command(
    "a table of groups that is none",
    lambda f: ["predict", classifier_file(f), picture(f), "--table", written(f / "t.csv", b'path,"\n')],
    "cannot be read as a table",
    "t.csv",
)
for kind, content, *words in (
    ("of other images", "path,label\nz.png,odd\n", "none of its paths is one of"),
    ("without the column", "file,label\na.png,odd\n", "-column NAME"),
    ("whose classes are numbers", "path,label\na.png,1\n", "no class of the classifier", "'1' (1 image(s)", "row 2"),
    ("with a row without an image", "path,label\na.png,odd\n ,odd\n", "names no image", "row 3"),
    ("with two rows of an image", "path,label\na.png,odd\n./a.png,even\n", "has two rows", "row 2 (odd) and row 3"),
    ("whose labels are empty", "path,label\na.png,\n", "no image has both a label and an attribute"),
):
    command(
        f"a table of groups {kind}",
        lambda f, content=content: [
            "predict",
            classifier_file(f),
            picture(f),
            "--table",
            written(f / "t.csv", content.encode()),
        ],
        *words,
        "t.csv",
    )
command(
    "a table of groups that leaves an image out",
    lambda f: [
        "predict",
        classifier_file(f),
        picture(f),
        picture(f, b"b.png"),
        "--table",
        written(f / "t.csv", b"path,label\na.png,odd\n"),
    ],
    "left out of the accuracies",
    "1 of 2 image(s) have no row",
    "b.png",
    "worst group",
    status=0,
)
command(
    "a table of groups with rows of other images too",
    lambda f: [
        "predict",
        classifier_file(f),
        picture(f),
        "--table",
        written(f / "t.csv", b"path,label\na.png,odd\nz.png,even\n"),
    ],
    "are of images that were not given",
    "1 of 2 rows",
    "row 3: z.png",
    status=0,
)
command(
    "a table of groups whose images are broken",
    lambda f: [
        "predict",
        classifier_file(f),
        picture(f),
        written(f / "b.png", b""),
        "--table",
        written(f / "t.csv", b"path,label\nb.png,odd\n"),
    ],
    "so there is no accuracy",
    "b.png",
)


def two_folders(folder: Path) -> str:
    for name in ("one", "other"):
        (folder / name).mkdir()
        picture(folder / name)
    return str(folder)


command(
    "a table of groups whose paths fit two folders",
    lambda f: [
        "predict",
        classifier_file(f),
        two_folders(f),
        "--table",
        written(f / "t.csv", b"path,label\na.png,odd\n"),
    ],
    "fits several images",
    "one/a.png",
    "other/a.png",
    "row 2",
)


@pytest.mark.skipif(not TINY.is_dir(), reason="resources/tiny-sd is not there")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_message_and_the_exit(case, tmp_path):
    check(case, tmp_path)


def test_the_command_line_itself_ends_with_status_1_and_no_traceback(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "fairdream", "predict", "/nowhere", "a.png"], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr.startswith("/nowhere: no classifier there")
    assert not done.stdout


@pytest.fixture
def full_disk(tmp_path):
    """A file system of its own without space. Not /dev/full: a library that renames would replace the device itself."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "fairdream", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"this user cannot mount a file system: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.mark.parametrize("kind", ["text", "weights", "table", "images"])
def test_a_full_disk_is_told_as_such_whoever_writes(kind, tmp_path, full_disk):
    target, values = str(full_disk / "out.parquet"), np.random.default_rng(0).random(20_000)

    def write() -> None:
        if kind == "text":
            files.write_text(target, str(values.tolist()))
        elif kind == "images":
            write_shard(target, [{"id": str(n), "image": encode_png(noise())} for n in range(20)], {})
        else:
            with files.atomic(target) as path:
                save_file({"a": values}, path) if kind == "weights" else pq.write_table(pa.table({"a": values}), path)

    case = Case(kind, lambda _: write, ("free space, or put `results` on another disk", "No space left on device"), 1)
    check(case, tmp_path)
    assert not list(full_disk.iterdir())


def test_every_message_is_explained_and_every_explained_one_is_tested():
    tested = {case.words[0].strip(" ;") for case in [*CASES, *INPUTS, *OWN_DATA, *FOLDERS]} | {"free space, or put"}
    tested.add("Config file is not valid JSON or YAML")  # Snakemake's: tests/workflow/test_refusals.py
    tested |= {NOT_SUBMITTED, NO_PROGRAM, LEFT_OUT, NO_SHORTCUT, *NOT_INFERRED}
    explained = documented()
    assert len(set(explained)) == len(explained)
    assert set(explained) == tested


def test_there_are_enough_rows_and_no_name_twice():
    names = [case.name for case in [*CASES, *INPUTS, *OWN_DATA, *FOLDERS]]
    assert len(names) == len(set(names)) >= 100
