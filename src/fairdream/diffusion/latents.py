"""What adapters learn from: the frozen UNet, and each subject's prompt and images as the UNet takes them.

Posteriors of the VAE (mean and standard deviation, so that each step still draws a fresh sample) and the text
embeddings are computed once; the VAE and the text encoder then leave memory.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairdream.diffusion.adapters import Rows
from fairdream.errors import UserError
from fairdream.models.device import best_device, inference_dtype
from fairdream.models.weights import NO_CHECKER, load_quietly

if TYPE_CHECKING:
    import torch

VAE_BATCH = 4  # images; about 3 GB in float32 at 512 x 512


@dataclass
class Base:
    """The frozen UNet on the training device."""

    unet: torch.nn.Module
    schedule: Any


@dataclass
class Lesson:
    """A subject's constants on the training device, and how far its training is."""

    name: str
    text: torch.Tensor  # (1, tokens, d)
    added: dict[str, torch.Tensor]  # SDXL's further conditions, each (1, d); else empty
    mean: torch.Tensor  # (images, 4, h, w)
    std: torch.Tensor  # (images, 4, h, w)
    checkpoint: Path
    step: int = 0
    rows: Rows = field(default_factory=list)
    losses: list[torch.Tensor] = field(default_factory=list)  # since the last row


def load_base(path: str) -> Base:
    """Load the UNet and the noise schedule of a model."""
    from diffusers import DDPMScheduler, UNet2DConditionModel

    load_quietly()
    device = best_device()
    unet = UNet2DConditionModel.from_pretrained(path, subfolder="unet", dtype=inference_dtype(device)).to(device)
    return Base(unet.train(), DDPMScheduler.from_pretrained(path, subfolder="scheduler"))


def encode(
    path: str, subjects: dict[str, tuple[str, list[str], Path]], resolution: int
) -> dict[str, Lesson | UserError]:
    """Encode the prompt and the images of each subject.

    Parameters
    ----------
    path
        The base model's folder.
    subjects
        Subject -> prompt, paths of its images, and where its checkpoint is kept.

    Returns
    -------
    dict
        Subject -> what its training goes by, or why it cannot be trained.
    """
    import torch
    from diffusers import AutoencoderKL, DiffusionPipeline

    load_quietly()
    device = best_device()
    dtype = inference_dtype(device)
    lessons: dict[str, Lesson | UserError] = {}
    with torch.inference_mode():
        # the stock pipeline reads the prompt as it will at sampling, with one text encoder or SDXL's two
        reader = DiffusionPipeline.from_pretrained(path, unet=None, vae=None, dtype=dtype, **NO_CHECKER).to(device)
        texts = {}
        for prompt in dict.fromkeys(prompt for prompt, _, _ in subjects.values()):
            texts[prompt] = reader.encode_prompt(
                prompt, device=device, num_images_per_prompt=1, do_classifier_free_guidance=False
            )
        del reader
        # the VAE of SD 1.x overflows in float16, so it encodes in float32: once, so it costs little
        vae = AutoencoderKL.from_pretrained(path, subfolder="vae", dtype=torch.float32).to(device)
        for name, (prompt, images, checkpoint) in subjects.items():
            mean, std = _posteriors(vae, images, resolution)
            bad = [image for image, own in zip(images, mean, strict=True) if not own.isfinite().all()]
            if bad:
                lessons[name] = UserError(f"{bad[0]}: the VAE turns this image into NaN")
                continue
            text, _, *pooled = texts[prompt]
            added = _conditions(pooled[0], resolution) if pooled else {}
            lessons[name] = Lesson(name, text, added, mean, std, checkpoint)
    for lesson in lessons.values():
        if isinstance(lesson, Lesson):
            # tensors made under inference mode cannot enter autograd
            lesson.text, lesson.mean, lesson.std = lesson.text.clone(), lesson.mean.clone(), lesson.std.clone()
            lesson.added = {key: value.clone() for key, value in lesson.added.items()}
    return lessons


def _posteriors(vae: Any, images: list[str], resolution: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return mean and standard deviation of the images' latents, each (images, 4, h, w), as the UNet takes them."""
    import torch

    found = [
        vae.encode(_pixels(images[first : first + VAE_BATCH], resolution).to(vae.device)).latent_dist
        for first in range(0, len(images), VAE_BATCH)
    ]
    factor = vae.config.scaling_factor
    mean, std = (torch.cat([getattr(own, what) for own in found]) * factor for what in ("mean", "std"))
    return mean, std


def _conditions(pooled: torch.Tensor, resolution: int) -> dict[str, torch.Tensor]:
    """Return SDXL's further conditions for a pooled text embedding (1, d)."""
    # size of the image, crop, size asked for: what the pipeline gives at sampling
    sizes = [resolution, resolution, 0, 0, resolution, resolution]
    return {"text_embeds": pooled.clone(), "time_ids": pooled.new_tensor([sizes])}


def _pixels(paths: list[str], resolution: int) -> torch.Tensor:
    """Return images as (b, 3, resolution, resolution) in [-1, 1]: shorter side resized, centre cropped."""
    import torch
    from torchvision.transforms import v2

    from fairdream.data.images import open_rgb

    transform = v2.Compose(
        [
            v2.PILToTensor(),
            v2.Resize(resolution, antialias=True),
            v2.CenterCrop(resolution),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize([0.5], [0.5]),
        ]
    )
    return torch.stack([transform(open_rgb(path)) for path in paths])
