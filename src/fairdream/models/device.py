"""Which device and number format a job uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def best_device() -> torch.device:
    """Return the CUDA device of this job, or the CPU."""
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def inference_dtype(device: torch.device) -> torch.dtype:
    """Return half precision on GPUs (bfloat16 where the card has it) and float32 on the CPU."""
    import torch

    if device.type != "cuda":
        return torch.float32
    # cards before Ampere (V100, T4) only imitate it, slowly
    return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16


def allow_tf32(device: torch.device) -> None:
    """Let float32 products run on the tensor cores of an NVIDIA GPU (10 bits of mantissa, sums in float32).

    cuDNN's convolutions do so already, PyTorch's default; matrix products do from here on.
    """
    import torch

    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")


def send(values: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Return a tensor of the host on a device, without waiting for what a GPU still has to do before it."""
    return (values.pin_memory() if device.type == "cuda" else values).to(device, non_blocking=True)


def free_memory() -> None:
    """Give a GPU back what nothing refers to any more, circles of references included."""
    import gc

    import torch

    gc.collect()
    torch.cuda.empty_cache()
