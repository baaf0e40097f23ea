"""Fetching models: the one stage that goes to the network, on the machine where the user starts the run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from fairdream.config.models import ClipModel, DiffusionModel, EncoderModel
from fairdream.errors import UserError
from fairdream.models.model_files import write_manifest
from fairdream.models.model_layout import CHECKS
from fairdream.runtime.job import LOGGER

# What StableDiffusionPipeline needs of a hub repository, without other frameworks' copies of the same weights. It
# loads each part that model_index.json names, but for the safety checker, which it is told to leave out.
DIFFUSION_FILES = [
    "model_index.json",
    "scheduler/*",
    "feature_extractor/*.json",
    "image_encoder/*.json",
    "image_encoder/*.safetensors",
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
    values = section(**config)
    path = fetch(Path(manifest).parent, values)
    if path is not None:
        CHECKS[role](path)
    count = write_manifest(manifest, path, values.model_dump())
    LOGGER.info("%s: %s, %d files", role, path, count)


def _diffusion(folder: Path, config: DiffusionModel) -> Path:
    if config.is_local:
        return Path(config.id).expanduser()
    from huggingface_hub import snapshot_download

    # a folder for each revision: what another one leaves, or another run fetches meanwhile, would be taken for this one
    path = folder / config.folder_name
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
        return Path(config.name.removeprefix("local-dir:"))
    import open_clip

    # of a tag that it does not know, open_clip fetches nothing and says nothing
    known = open_clip.get_pretrained_cfg(config.name, config.pretrained or "")
    if not known:
        raise UserError(
            f"models.clip.pretrained: open_clip has no weights {config.pretrained} of {config.name}; it has "
            f"{', '.join(open_clip.list_pretrained_tags_by_model(config.name)) or 'none of this name'}"
        )
    try:
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
