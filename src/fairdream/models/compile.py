"""`torch.compile` for a UNet that draws, where the run's machine is told to: it changes no image beyond rounding.

A training is not compiled: forward and backward take minutes to compile, and a pool's step gains a ninth
(docs/performance.md).
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from typing import Any

from fairdream.runtime.job import LOGGER

COMPILE = "FAIRDREAM_COMPILE"  # environment: set to anything but 0, UNets are compiled
# Forward passes of a batch size before it is compiled: a job's last batch, which is smaller, takes less time than
# compilation for it.
RARE = 100


def compile_if_wanted(unet: Any) -> None:
    """Where the environment says so, have torch compile a UNet for the batch sizes that it often sees.

    Where that fails, it goes on uncompiled. Its weights come to lie in channels-last order, the convolutions' own;
    uncompiled on a GPU, PyTorch's GroupNorm turns every image back, which costs more than is won.
    """
    if os.environ.get(COMPILE, "0") in {"", "0"}:
        return
    import torch

    unet.to(memory_format=torch.channels_last)
    eager: Callable[..., Any] = unet.forward
    # a graph for each size: one for all sizes takes many times as long to make
    compiled = torch.compile(eager, dynamic=False)
    seen: Counter[int] = Counter()

    def forward(sample: torch.Tensor, *arguments: Any, **named: Any) -> Any:
        seen[len(sample)] += 1
        if seen[len(sample)] <= RARE:
            return eager(sample, *arguments, **named)
        try:
            return compiled(sample, *arguments, **named)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # a missing compiler, an unsupported card: whatever it is, eager works or tells
            LOGGER.warning("torch.compile failed (%s: %s); going on without it", type(error).__name__, error)
        # out of the exception's reach, which holds the failed pass's tensors
        unet.forward = eager
        if sample.is_cuda:
            unet.to(memory_format=torch.contiguous_format)
        return eager(sample, *arguments, **named)

    unet.forward = forward
