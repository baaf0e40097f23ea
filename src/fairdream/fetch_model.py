"""Fetching models: the one stage that goes to the network, on the machine where the user starts the run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fairdream.errors import UserError
from fairdream.files import is_whole, write_if_changed
from fairdream.identity import file_digest
from fairdream.job import LOGGER
from fairdream.settings import ClipModel, DiffusionModel, EncoderModel

# What StableDiffusionPipeline needs of a hub repository, without other frameworks' copies of the same weights.
DIFFUSION_FILES = [
    "model_index.json",
    "scheduler/*",
    "text_encoder/*.json",
    "text_encoder/*.safetensors",
    "text_encoder_2/*.json",
    "text_encoder_2/*.safetensors",
    "tokenizer/*",
    "tokenizer_2/*",
    "unet/*.json",
    "unet/*.safetensors",
    "vae/*.json",
    "vae/*.safetensors",
]


# Pipelines whose UNet is trained here.
FAMILIES = ("StableDiffusionPipeline", "StableDiffusionXLPipeline")


def fetch_model(manifest: str, role: str, config: dict[str, Any]) -> None:
    """Fetch one model into the manifest's folder, or check a local one, and write the manifest of its files.

    Parameters
    ----------
    manifest
        Output. Downloads go beside it; an interrupted one goes on where it stopped.
    role
        ``"diffusion"``, ``"clip"`` or ``"encoder"``.
    config
        The model's values.

    Raises
    ------
    UserError
        When it cannot be had: what, where it was looked for, and what to do.
    """
    sources: dict[str, tuple[Callable[..., Path | None], type[Any]]] = {
        "diffusion": (_diffusion, DiffusionModel),
        "clip": (_clip, ClipModel),
        "encoder": (_encoder, EncoderModel),
    }
    fetch, section = sources[role]
    path = fetch(Path(manifest).parent, section(**config))
    files = {}
    if path is not None:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            # documents and a downloader's own notes decide nothing
            if file.is_file() and file.suffix != ".md" and ".cache" not in file.parts:
                files[file.relative_to(path).as_posix() if path.is_dir() else file.name] = file_digest(file)
    LOGGER.info("%s: %s, %d files", role, path, len(files))
    content = {"path": str(path or "."), "files": files}
    write_if_changed(manifest, json.dumps(content, indent=1, sort_keys=True) + "\n")


def _diffusion(folder: Path, config: DiffusionModel) -> Path:
    if config.is_local:
        path = Path(config.id).expanduser()
        _check_diffusion(path)
        return path
    from huggingface_hub import snapshot_download

    path = folder / config.id.replace("/", "--")
    try:
        snapshot_download(
            config.id,
            revision=config.revision,
            local_dir=path,
            allow_patterns=DIFFUSION_FILES,
            ignore_patterns=["*.fp16.safetensors", "*.non_ema.safetensors"],
        )
    except Exception as error:
        raise UserError(
            f"{config.id}@{config.revision}: cannot be fetched to {path} ({type(error).__name__}: {error}). "
            "Without network, copy the model there by hand and set models.diffusion.id to that folder."
        ) from None
    _check_diffusion(path)
    return path


def _check_diffusion(path: Path) -> None:
    """Refuse a folder that is no Stable Diffusion in diffusers' layout, or not whole, before a GPU job loads it."""
    index = path / "model_index.json"
    if not index.is_file():
        raise UserError(f"{path}: no diffusers model here (model_index.json is missing)")
    try:
        kind = json.loads(index.read_text(encoding="utf-8"))["_class_name"]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{index}: cannot be read as a diffusers model's index: {error!r}") from None
    if kind not in FAMILIES:
        raise UserError(f"{path}: models.diffusion: {kind} is not of the SD 1, SD 2 or SDXL family")
    for part in ("unet", "vae", "text_encoder"):
        weights = sorted(path.glob(f"{part}/*.safetensors"))
        if not weights:
            raise UserError(
                f"{path}: {part}/ has no weights in safetensors, and pickled ones (.bin, .ckpt) can run code, so they "
                "are not read; take the model's repository in diffusers' layout"
            )
        damaged = [file for file in weights if not is_whole(file)]
        if damaged:
            raise UserError(f"{damaged[0]}: damaged, or not copied to its end; delete it and fetch it again")


def _clip(folder: Path, config: ClipModel) -> Path:
    if config.name.startswith("local-dir:"):
        path = Path(config.name.removeprefix("local-dir:"))
        if not (path / "open_clip_config.json").is_file():
            raise UserError(f"{path}: no open_clip model here (open_clip_config.json is missing)")
        return path
    import open_clip

    try:
        known = open_clip.get_pretrained_cfg(config.name, config.pretrained)
        return Path(open_clip.download_pretrained(known, cache_dir=str(folder)))
    except Exception as error:
        raise UserError(
            f"CLIP {config.name} ({config.pretrained}): cannot be fetched to {folder} ({type(error).__name__}: {error})"
            ". Without network, copy an open_clip folder here and name it: models.clip.name: local-dir:FOLDER"
        ) from None


def _encoder(folder: Path, config: EncoderModel) -> Path | None:
    if config.weights is None:
        return None
    import torch
    import torchvision

    url = ""
    try:
        url = torchvision.models.get_model_weights(config.name)[config.weights].url
        torch.hub.load_state_dict_from_url(url, model_dir=str(folder), check_hash=True, map_location="cpu")
    except Exception as error:
        raise UserError(
            f"{config.name} ({config.weights}): cannot be fetched to {folder} ({type(error).__name__}: {error}). "
            + (f"Without network, copy {url} there by hand" if url else "Look at models.encoder.weights")
        ) from None
    return folder / url.rsplit("/", 1)[1]
