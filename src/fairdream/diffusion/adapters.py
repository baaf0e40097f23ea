"""An adapter's files: in diffusers' own format, its checkpoint while it is trained, and its history."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING

from fairdream.models import tensor_files
from fairdream.runtime.job import LOGGER

if TYPE_CHECKING:
    import torch

    from fairdream.config.finetune import FinetuneValues

WEIGHTS = "pytorch_lora_weights.safetensors"  # the name that `load_lora_weights` looks for
Rows = list[dict[str, float]]


def save_adapter(
    weights: dict[str, torch.Tensor], path: Path, config: FinetuneValues, metadata: dict[str, str]
) -> None:
    """Write an adapter as `StableDiffusionPipeline.load_lora_weights` reads it, with metadata in its header.

    The scale alpha / r (Hu et al. 2021, section 4.1) is multiplied into B, and the header's alpha is r. In diffusers'
    format alpha stands in the header alone, and a reader that does not look there takes r for it.

    Parameters
    ----------
    weights
        The matrices under peft's names.
    """
    import tempfile

    from diffusers.loaders import StableDiffusionLoraLoaderMixin
    from diffusers.utils import convert_state_dict_to_diffusers
    from peft import LoraConfig
    from safetensors import safe_open
    from safetensors.torch import load_file

    # diffusers writes rank and alpha for its own loader into the header; ours is added to it
    values = LoraConfig(
        r=config.rank,
        lora_alpha=float(config.rank),
        init_lora_weights="gaussian",
        target_modules=config.target_modules,
    ).to_dict()
    own = {key: sorted(value) if isinstance(value, set) else value for key, value in values.items()}
    if config.alpha != config.rank:
        scale = config.alpha / config.rank
        weights = {name: value * scale if ".lora_B." in name else value for name, value in weights.items()}
    with tempfile.TemporaryDirectory() as folder:
        StableDiffusionLoraLoaderMixin.save_lora_weights(
            folder,
            unet_lora_layers=convert_state_dict_to_diffusers(weights),
            unet_lora_adapter_metadata=own,
        )
        written = Path(folder, WEIGHTS)
        with safe_open(written, "pt") as file:
            header = dict(file.metadata() or {})
        tensors = load_file(written)
    tensor_files.save(tensors, path, {**header, **metadata})


def save_checkpoint(path: Path, row: dict[str, torch.Tensor], losses: torch.Tensor, step: int, rows: Rows) -> None:
    """Write what a training goes on from: its row of the pool, the losses since its last row of history, that history.

    Parameters
    ----------
    step
        Steps done.
    """
    metadata = {"step": str(step), "history": json.dumps(rows)}
    tensor_files.save({**row, "losses": losses.cpu()}, path, metadata)


def load_checkpoint(path: Path) -> tuple[dict[str, torch.Tensor], torch.Tensor, int, Rows] | None:
    """Return what `save_checkpoint` wrote; ``None`` where nothing was saved, or nothing that can be read."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        return None
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata()
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
        return tensors, tensors.pop("losses"), int(metadata["step"]), json.loads(metadata["history"])
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        LOGGER.warning("%s cannot be read (%s): the training starts over", path, error)
        return None


def as_csv(rows: Rows) -> str:
    """Return a history as the text of its file."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, rows[0].keys() if rows else ["step"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()
