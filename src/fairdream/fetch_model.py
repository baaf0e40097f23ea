"""Fetching models: the one stage that goes to the network, on the machine where the user starts the run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fairdream.config import ClipModel, DiffusionModel, EncoderModel
from fairdream.errors import UserError
from fairdream.files import write_if_changed
from fairdream.identity import file_digest
from fairdream.job import LOGGER

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
        if not (path / "model_index.json").is_file():
            raise UserError(f"{path}: no diffusers model here (model_index.json is missing)")
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
    return path


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
        ) from None


def _encoder(folder: Path, config: EncoderModel) -> Path | None:
    if config.weights is None:
        return None
    import torch
    import torchvision

    try:
        url = torchvision.models.get_model_weights(config.name)[config.weights].url
        torch.hub.load_state_dict_from_url(url, model_dir=str(folder), check_hash=True, map_location="cpu")
    except Exception as error:
        raise UserError(
            f"{config.name} ({config.weights}): cannot be fetched to {folder} ({type(error).__name__}: {error})"
        ) from None
    return folder / url.rsplit("/", 1)[1]
