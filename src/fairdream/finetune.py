"""Fine-tuning: one LoRA adapter on the UNet of Stable Diffusion for one subject.

Notable choices:

- The loss is the noise-prediction error of DDPM (Ho et al. 2020, eq. 14), as in diffusers' `train_dreambooth_lora.py`.
- Posteriors of the VAE (mean and standard deviation, so that each step still draws a fresh sample) and the text
  embedding are computed once; the VAE and the text encoder then leave memory.
- Adapter weights stay in float32 over a half-precision base: bfloat16 would round AdamW's small updates to nothing.
- Every random number derives from (seed, subject, step), so a training that was killed goes on exactly.
- A finished adapter is kept in a store under the identity of what made it, so it is never trained twice.
"""

from __future__ import annotations

import csv
import io
import json
import resource
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairdream.basemodel import NO_CHECKER, load_quietly, model_identity, model_path
from fairdream.config import FinetuneValues
from fairdream.device import best_device, inference_dtype
from fairdream.errors import UserError
from fairdream.files import atomic, exclusive, write_text
from fairdream.identity import digest, file_digest, seed_of
from fairdream.images import open_rgb
from fairdream.job import LOGGER, progress, stop_asked

if TYPE_CHECKING:
    import torch

WEIGHTS = "pytorch_lora_weights.safetensors"  # the name that `load_lora_weights` looks for
HISTORY_EVERY = 10  # steps
CHECKPOINT_EVERY = 120  # seconds


class FinetuneJob(FinetuneValues):
    """What one adapter's training needs beside its images."""

    prompt: str
    token: str | None
    seed: int


@dataclass
class Base:
    """A subject's constants, on the training device: the frozen UNet, its text embedding and its posteriors."""

    unet: torch.nn.Module
    schedule: Any
    text: torch.Tensor  # (1, tokens, d)
    added: dict[str, torch.Tensor]  # SDXL's further conditions, each (1, d); else empty
    mean: torch.Tensor  # (n, 4, h, w)
    std: torch.Tensor  # (n, 4, h, w)


def finetune(subject: str, model: str, adapter: str, history: str, store: str, code: str, config: FinetuneJob) -> None:
    """Train the adapter of one subject, or take it from the store when the same one was trained before.

    Parameters
    ----------
    subject
        The subject's member file.
    model
        Manifest of the base model.
    adapter, history
        Outputs: the adapter in diffusers' format, and loss, learning rate, images a second and peak memory by step.
    store
        Folder of finished adapters and checkpoints.
    code
        Digest of the code that trains; a part of the identity.

    Raises
    ------
    UserError
        When the loss is not finite, or an image changed since the subject was written.
    """
    members = json.loads(Path(subject).read_text(encoding="utf-8"))
    name, images = members["subject"], members["images"]
    hashes = [image["sha256"] for image in images]
    identity = digest([config.model_dump(), code, name, hashes, model_identity(model)])[:32]
    folder = Path(store, "adapters", identity)
    # a run that was killed may have left this very job alive on another node: one trains, the other takes the result
    with exclusive(folder / "lock"):
        if (folder / WEIGHTS).is_file():
            LOGGER.info("%s: trained before, taken from %s", name, folder)
        else:
            for image in images:
                if file_digest(image["path"]) != image["sha256"]:
                    raise UserError(f"{image['path']} changed during the run; start it again to take up the change")
            base = load_base(model_path(model), [image["path"] for image in images], config)
            with stop_asked() as stopping:
                rows = train(base, name, folder / "checkpoint.safetensors", config, stopping)
            write_text(folder / "history.csv", _as_csv(rows))
            metadata = {
                "base_model": model_path(model),
                "prompt": config.prompt,
                "token": config.token or "",
                "rank": str(config.rank),
                "subject": name,
                "image_ids": json.dumps([image["id"] for image in images]),
            }
            save_adapter(base.unet, folder / WEIGHTS, metadata)
            (folder / "checkpoint.safetensors").unlink(missing_ok=True)
    for source, target in ((folder / WEIGHTS, adapter), (folder / "history.csv", history)):
        with atomic(target) as path:
            shutil.copyfile(source, path)


def load_base(path: str, images: list[str], config: FinetuneJob) -> Base:
    """Load the base model with a fresh adapter, and encode a subject's images and prompt."""
    import torch
    from diffusers import AutoencoderKL, DDPMScheduler, DiffusionPipeline, UNet2DConditionModel
    from diffusers.training_utils import cast_training_params
    from peft import LoraConfig

    load_quietly()
    device = best_device()
    dtype = inference_dtype(device)
    with torch.inference_mode():
        # the stock pipeline reads the prompt as it will at sampling, with one text encoder or SDXL's two
        reader = DiffusionPipeline.from_pretrained(path, unet=None, vae=None, dtype=dtype, **NO_CHECKER).to(device)
        text, _, *pooled = reader.encode_prompt(
            config.prompt, device=device, num_images_per_prompt=1, do_classifier_free_guidance=False
        )
        added = {}
        if pooled:
            # size of the image, crop, size asked for: what the pipeline gives at sampling
            sizes = [config.resolution, config.resolution, 0, 0, config.resolution, config.resolution]
            added = {"text_embeds": pooled[0].clone(), "time_ids": torch.tensor([sizes], dtype=dtype, device=device)}
        del reader
        # the VAE of SD 1.x overflows in float16, so it encodes in float32: once, so it costs little
        vae = AutoencoderKL.from_pretrained(path, subfolder="vae", dtype=torch.float32).to(device)
        posteriors = [vae.encode(_pixels(image, config.resolution).to(device)).latent_dist for image in images]
        mean = torch.cat([p.mean for p in posteriors]) * vae.config.scaling_factor
        std = torch.cat([p.std for p in posteriors]) * vae.config.scaling_factor
    for image, latents in zip(images, mean, strict=True):
        if not latents.isfinite().all():
            raise UserError(f"{image}: the VAE turns this image into NaN")
    unet = UNet2DConditionModel.from_pretrained(path, subfolder="unet", dtype=dtype).to(device)
    unet.requires_grad_(False)
    with torch.random.fork_rng():
        torch.manual_seed(seed_of("adapter", config.seed))
        unet.add_adapter(
            LoraConfig(
                r=config.rank,
                lora_alpha=config.alpha,
                init_lora_weights="gaussian",
                target_modules=config.target_modules,
            )
        )
    cast_training_params(unet, dtype=torch.float32)
    schedule = DDPMScheduler.from_pretrained(path, subfolder="scheduler")
    # tensors made under inference mode cannot enter autograd
    return Base(unet, schedule, text.clone(), added, mean.clone(), std.clone())


def train(
    base: Base, name: str, checkpoint: Path, config: FinetuneJob, stopping: Callable[[], bool] = lambda: False
) -> list[dict[str, float]]:
    """Train the adapter in `base.unet`; return the history.

    A checkpoint of this training at `checkpoint` is gone on from; one is written every two minutes, and when `stopping`
    says that the job is to end.

    Raises
    ------
    UserError
        When the loss is not finite, or the training was asked to stop before its end.
    """
    import torch
    import torch.nn.functional as F
    from accelerate import Accelerator

    device = base.mean.device
    dtype = base.text.dtype
    precision = {torch.bfloat16: "bf16", torch.float16: "fp16"}.get(dtype, "no")
    accelerator = Accelerator(mixed_precision=precision, cpu=device.type == "cpu")
    named = {key: value for key, value in base.unet.named_parameters() if value.requires_grad}
    parameters = list(named.values())
    optimizer = torch.optim.AdamW(parameters, lr=config.learning_rate, weight_decay=config.weight_decay)
    start, rows = _resume(checkpoint, named, optimizer)
    unet, optimizer = accelerator.prepare(base.unet, optimizer)
    unet.train()
    losses: list[torch.Tensor] = []
    saved = measured = time.monotonic()
    for step in progress(range(start, config.steps), f"Training {name}"):
        generator = torch.Generator().manual_seed(seed_of("finetune", config.seed, name, step))
        batch = _batch(step, len(base.mean), config.batch_size, (config.seed, name))
        noise_of = torch.randn((2, len(batch), *base.mean.shape[1:]), generator=generator).to(device)
        timesteps = torch.randint(0, base.schedule.config.num_train_timesteps, (len(batch),), generator=generator)
        latents = base.mean[batch] + base.std[batch] * noise_of[0]  # (b, 4, h, w)
        noise = noise_of[1]
        noisy = base.schedule.add_noise(latents, noise, timesteps.to(device))
        text = base.text.expand(len(batch), -1, -1)
        added = {key: value.expand(len(batch), -1) for key, value in base.added.items()}
        with accelerator.autocast():
            predicted = unet(noisy.to(dtype), timesteps.to(device), text, added_cond_kwargs=added or None).sample
        target = noise
        if base.schedule.config.prediction_type == "v_prediction":
            target = base.schedule.get_velocity(latents, noise, timesteps.to(device))
        loss = F.mse_loss(predicted.float(), target)
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(parameters, config.max_grad_norm)
        rate = config.learning_rate * min(1.0, (step + 1) / max(1, config.warmup_steps))
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss.detach())
        if (step + 1) % HISTORY_EVERY == 0 or step + 1 == config.steps:
            # the only wait for the device: every tenth step
            mean = torch.stack(losses).mean().item()
            if mean != mean or mean == float("inf"):
                raise UserError(f"{name}: the loss is {mean} at step {step + 1}; lower finetune.learning_rate")
            now = time.monotonic()
            rows.append(
                {
                    "step": step + 1,
                    "loss": mean,
                    "learning_rate": rate,
                    "images_per_second": len(losses) * config.batch_size / (now - measured),
                    "peak_memory_mb": _peak_memory_mb(device),
                }
            )
            losses, measured = [], now
            asked = stopping() and step + 1 < config.steps
            if asked or now - saved > CHECKPOINT_EVERY:
                _save_checkpoint(checkpoint, named, optimizer, rows)
                saved = now
            if asked:
                raise UserError(f"{name}: asked to stop; saved at step {step + 1}, where the next attempt goes on")
    return rows


def save_adapter(unet: torch.nn.Module, path: Path, metadata: dict[str, str]) -> None:
    """Write the adapter as `StableDiffusionPipeline.load_lora_weights` reads it, with metadata in its header."""
    import tempfile

    from diffusers.loaders import StableDiffusionLoraLoaderMixin
    from diffusers.utils import convert_state_dict_to_diffusers
    from peft.utils import get_peft_model_state_dict
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    layers = convert_state_dict_to_diffusers(get_peft_model_state_dict(unet))
    # diffusers writes rank and alpha for its own loader into the header; ours is added to it
    own = {k: sorted(v) if isinstance(v, set) else v for k, v in unet.peft_config["default"].to_dict().items()}
    with tempfile.TemporaryDirectory() as folder:
        StableDiffusionLoraLoaderMixin.save_lora_weights(
            folder, unet_lora_layers=layers, unet_lora_adapter_metadata=own
        )
        written = Path(folder, WEIGHTS)
        with safe_open(written, "pt") as file:
            header = dict(file.metadata() or {})
        tensors = load_file(written)
    with atomic(path) as temporary:
        save_file(tensors, temporary, metadata={**header, **metadata})


def _pixels(path: str, resolution: int) -> torch.Tensor:
    """Return an image as (1, 3, resolution, resolution) in [-1, 1]: shorter side resized, centre cropped."""
    import torch
    from torchvision.transforms import v2

    transform = v2.Compose(
        [
            v2.PILToTensor(),
            v2.Resize(resolution, antialias=True),
            v2.CenterCrop(resolution),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize([0.5], [0.5]),
        ]
    )
    return transform(open_rgb(path))[None]


def _batch(step: int, count: int, size: int, names: tuple) -> list[int]:
    """Return the images of a step: a new seeded order each epoch, batches running on across its end."""
    import torch

    chosen = []
    for position in range(step * size, (step + 1) * size):
        epoch, place = divmod(position, count)
        generator = torch.Generator().manual_seed(seed_of("epoch", *names, epoch))
        chosen.append(int(torch.randperm(count, generator=generator)[place]))
    return chosen


def _save_checkpoint(path: Path, named: dict[str, Any], optimizer: Any, rows: list[dict[str, float]]) -> None:
    """Write weights, optimiser and the history up to now, whose last row names the step."""
    from safetensors.torch import save_file

    tensors = {}
    for key, value in named.items():
        tensors[f"weight/{key}"] = value.detach().contiguous()
        for moment in ("exp_avg", "exp_avg_sq"):
            tensors[f"{moment}/{key}"] = optimizer.state[value][moment].contiguous()
    with atomic(path) as temporary:
        save_file(tensors, temporary, metadata={"history": json.dumps(rows)})


def _resume(path: Path, named: dict[str, Any], optimizer: Any) -> tuple[int, list[dict[str, float]]]:
    """Load weights and optimiser from a checkpoint, if there is one; return the step to go on with and the history."""
    import torch
    from safetensors import safe_open

    if not path.is_file():
        return 0, []
    with safe_open(path, "pt") as file:
        rows = json.loads(file.metadata()["history"])
        step = rows[-1]["step"]
        for key, value in named.items():
            with torch.no_grad():
                value.copy_(file.get_tensor(f"weight/{key}"))
            optimizer.state[value] = {
                "step": torch.tensor(float(step)),
                "exp_avg": file.get_tensor(f"exp_avg/{key}").to(value.device),
                "exp_avg_sq": file.get_tensor(f"exp_avg_sq/{key}").to(value.device),
            }
    LOGGER.info("going on at step %d from %s", step, path)
    return step, rows


def _peak_memory_mb(device: torch.device) -> float:
    import torch

    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _as_csv(rows: list[dict[str, float]]) -> str:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, rows[0].keys() if rows else ["step"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()
