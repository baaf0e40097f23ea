"""`torch.compile` for a UNet, where the run's machine is told to: it changes no result beyond rounding."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from fairdream.job import LOGGER

COMPILE = "FAIRDREAM_COMPILE"  # environment: set, UNets are compiled


def compile_if_wanted(unet: Any) -> None:
    """Where the environment says so, have torch compile a UNet at its first forward pass.

    Where that fails, it goes on uncompiled. Its weights come to lie in channels-last order, the convolutions' own;
    uncompiled on a GPU, PyTorch's GroupNorm turns every image back, which costs more than is won.
    """
    if not os.environ.get(COMPILE):
        return
    import torch

    unet.to(memory_format=torch.channels_last)
    eager: Callable[..., Any] = unet.forward
    compiled = torch.compile(eager)

    def forward(*arguments: Any, **named: Any) -> Any:
        try:
            return compiled(*arguments, **named)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # a missing compiler, an unsupported card: whatever it is, eager works or tells
            LOGGER.warning("torch.compile failed (%s: %s); going on without it", type(error).__name__, error)
            unet.forward = eager
            return eager(*arguments, **named)

    unet.forward = forward
