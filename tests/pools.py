"""A UNet and subjects of seconds, for the tests of pools."""

from pathlib import Path

import diffusers
import torch

from fairdream.diffusion.latents import Lesson

ATTENTION = ["to_k", "to_q", "to_v", "to_out.0"]
CONVOLUTIONS = ["conv1", "conv2", "downsamplers.0.conv"]  # the last one has a stride
VALUES = {
    "rank": 2,
    "alpha": 4.0,
    "target_modules": ATTENTION + CONVOLUTIONS,
    "resolution": 32,
    "learning_rate": 3e-3,
    "weight_decay": 0.01,
    "warmup_steps": 5,
    "max_grad_norm": 0.05,  # clips
    "batch_size": 2,
    "steps": 50,
    "prompt": "a photo",
    "token": None,
    "seed": 0,
}


def small_unet():
    torch.manual_seed(1)
    unet = diffusers.UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(8, 16),
        layers_per_block=1,
        norm_num_groups=4,
        attention_head_dim=2,
        cross_attention_dim=8,
        mid_block_type=None,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    )
    return unet.requires_grad_(False)


def lesson(number: int, folder: Path) -> Lesson:
    """A subject of its own size, prompt and images."""
    generator = torch.Generator().manual_seed(number)
    images = 3 + number
    return Lesson(
        f"subject{number}",
        torch.randn((1, 5, 8), generator=generator),
        {},
        torch.randn((images, 4, 8, 8), generator=generator),
        torch.rand((images, 4, 8, 8), generator=generator) / 10,
        folder / f"subject{number}.safetensors",
    )


def distance(some, others) -> float:
    """The largest relative Frobenius error of a tensor."""
    assert some.keys() == others.keys()
    return max(float((some[key] - others[key]).norm() / others[key].norm()) for key in some)
