"""Whether a folder is a model and whole, by its files alone: no library is imported and no weights are read.

diffusers and open_clip would tell it in a job with a GPU, or not at all: without its files a tokenizer knows no word,
and without weights open_clip goes on with random ones.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from fairdream.errors import UserError
from fairdream.runtime.files import is_whole

# Pipelines whose UNet is trained here.
FAMILIES = ("StableDiffusionPipeline", "StableDiffusionXLPipeline")
# Parts of a pipeline -> the name of their weights, as diffusers and transformers save them.
NETWORKS = {
    "unet": "diffusion_pytorch_model",
    "vae": "diffusion_pytorch_model",
    "text_encoder": "model",
    "text_encoder_2": "model",
    "image_encoder": "model",
}
# Other parts -> sets of files, of which one suffices.
SETTINGS = {
    "scheduler": [["scheduler_config.json"]],
    "tokenizer": [["tokenizer.json"], ["vocab.json", "merges.txt"]],
    "tokenizer_2": [["tokenizer.json"], ["vocab.json", "merges.txt"]],
    "feature_extractor": [["preprocessor_config.json"]],
}
# What a UNet may have learnt to predict: fine-tuning has these targets.
TARGETS = ("epsilon", "v_prediction")
NEEDED = {"unet", "vae", "text_encoder", "tokenizer", "scheduler"}


def check_diffusion(path: Path) -> None:
    """Look at a Stable Diffusion in diffusers' layout.

    Raises
    ------
    UserError
        When the folder is something else, or a part that its index names is missing, cut off or in another form.
    """
    index = _entry(path, "model_index.json", "diffusers")
    content = _read(index, "a diffusers model's index", "_class_name", str)
    if content["_class_name"] not in FAMILIES:
        raise UserError(f"{path}: models.diffusion: {content['_class_name']} is not of the SD 1, SD 2 or SDXL family")
    named = {part for part, kind in content.items() if isinstance(kind, list) and kind and kind[0]}
    for part, stem in NETWORKS.items():
        if part in NEEDED | named:
            _check_all([path / part / "config.json", *_weights(path / part, stem)])
    schedule = path / "scheduler/scheduler_config.json"
    if schedule.is_file():
        predicts = _read(schedule, "a scheduler's configuration", "_class_name", str).get("prediction_type", TARGETS[0])
        if predicts not in TARGETS:
            raise UserError(
                f"{schedule}: prediction_type is {predicts}, and adapters are trained on {' or '.join(TARGETS)} alone: "
                "they would learn another target than the base model's"
            )
    for part, choices in SETTINGS.items():
        if part in NEEDED | named:
            there = [names for names in choices if all((path / part / name).is_file() for name in names)]
            _check_all(path / part / name for name in (there or choices)[0])


def check_clip(path: Path) -> None:
    """Look at a CLIP in open_clip's layout.

    Raises
    ------
    UserError
        When the folder is something else, or has no weights or no tokenizer.
    """
    if not path.is_dir():
        return  # one file, which open_clip has downloaded and compared
    entry = _entry(path, "open_clip_config.json", "open_clip")
    content = _read(entry, "an open_clip model's configuration", "model_cfg", dict)
    weights = [file for ending in ("safetensors", "bin", "pth") for file in sorted(path.glob(f"*.{ending}"))]
    if not weights:
        raise UserError(f"{path}: no CLIP weights here, such as open_clip_model.safetensors; copy the model again")
    _check_all(weights)
    text = content["model_cfg"].get("text_cfg")
    own_words = isinstance(text, dict) and text.get("hf_tokenizer_name")
    words = ("tokenizer.json", "vocab.json", "vocab.txt", "*.model")
    if own_words and not any(file for name in words for file in path.glob(name)):
        _check_all([path / "tokenizer.json"])


def _entry(path: Path, name: str, library: str) -> Path:
    """Return the file that makes a folder a model; where it lies below, as in a hub's cache, tell in which folder."""
    check_link(path / name)
    if not (path / name).is_file():
        below = sorted(file.parent for pattern in ("*", "snapshots/*") for file in path.glob(f"{pattern}/{name}"))
        hint = f"; name the folder below it that has one: {', '.join(map(str, below[:3]))}" if below else ""
        raise UserError(f"{path}: no {library} model here ({name} is missing){hint}")
    return path / name


def _read(file: Path, what: str, key: str, kind: type) -> dict[str, Any]:
    """Return a JSON file's values; refuse one whose `key` has no value of a kind."""
    try:
        content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(content[key], kind):
            raise TypeError(f"{key} is {content[key]!r}")
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise UserError(f"{file}: cannot be read as {what}: {error!r}") from None
    return content


def _weights(folder: Path, stem: str) -> list[Path]:
    """Return the files of a network's weights, in one piece or in shards."""
    whole, index = folder / f"{stem}.safetensors", folder / f"{stem}.safetensors.index.json"
    check_link(whole)
    found = [whole] if whole.is_file() else []
    # where there are both, diffusers reads the shards and transformers the other
    if index.is_file():
        shards = _read(index, "an index of shards", "weight_map", dict)["weight_map"]
        found += [folder / name for name in sorted(set(map(str, shards.values())))]
    if found:
        return found
    variants = sorted(folder.glob(f"{stem}.*.safetensors"))
    if variants:
        raise UserError(
            f"{variants[0]}: a variant of the weights, of which only {whole.name} is read; take the model's full ones, "
            f"or rename this file to {whole.name}"
        )
    raise UserError(
        f"{folder.parent}: {folder.name}/ has no weights in safetensors ({whole.name}), and pickled ones (.bin, .ckpt) "
        "can run code, so they are not read; take the model's repository in diffusers' layout"
    )


def check_link(file: Path) -> None:
    """Refuse a link whose end is gone, as in a hub's cache that was cleared."""
    if file.is_symlink() and not file.exists():
        raise UserError(f"{file}: is a link to nothing; fetch the model again, or remove the link")


def _check_all(files: Iterable[Path]) -> None:
    for file in files:
        check_link(file)
        if not file.is_file():
            raise UserError(f"{file}: is missing from the model; copy or fetch the model again")
        if not is_whole(file):
            raise UserError(f"{file}: damaged, or not copied to its end; delete it and fetch it again")


# By the model's role in a run; torchvision compares an encoder's digest when it fetches one.
CHECKS: dict[str, Callable[[Path], None]] = {
    "diffusion": check_diffusion,
    "clip": check_clip,
    "encoder": lambda path: None,
}
