"""Where the training of a classifier saves itself, so that the next attempt of its job goes on there."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from fairdream.models import tensor_files
from fairdream.runtime.job import LOGGER

if TYPE_CHECKING:
    import torch

EVERY = 120.0  # seconds between two checkpoints: what a killed job does again at most


class Checkpoint:
    """The state of one training in a safetensors file.

    Parameters
    ----------
    path
        The file; it exists only while the training is not done.
    identity
        A digest of all that the training depends on. A file with another one is that of other images or values, and is
        passed over.
    """

    def __init__(self, path: Path, identity: str) -> None:
        self.path, self.identity = path, identity
        self.saved = time.monotonic()

    def load(self) -> tuple[int, dict[str, torch.Tensor]] | None:
        """Return the steps done and the state, on the CPU, that an earlier attempt saved; `None` if there is none.

        A file that cannot be read is passed over too: a training that begins anew is better than one that never can.
        """
        from safetensors import SafetensorError, safe_open

        if not self.path.is_file():
            return None
        try:
            with safe_open(self.path, "pt") as file:
                header = file.metadata() or {}
                if header.get("identity") != self.identity:
                    LOGGER.info("%s is of another training", self.path)
                    return None
                state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
                step = int(header["step"])
        except (SafetensorError, OSError, LookupError, ValueError) as error:
            LOGGER.warning("%s cannot be read (%s): the training starts over", self.path, error)
            return None
        LOGGER.info("going on at step %d from %s", step, self.path)
        return step, state

    def due(self) -> bool:
        """Say whether it is time to save."""
        return time.monotonic() - self.saved > EVERY

    def save(self, step: int, state: dict[str, torch.Tensor]) -> None:
        """Replace the file by the state after so many steps."""
        # a copy: safetensors takes neither strides nor tensors that share memory
        tensors = {name: value.detach().cpu().contiguous().clone() for name, value in state.items()}
        tensor_files.save(tensors, self.path, {"identity": self.identity, "step": str(step)})
        self.saved = time.monotonic()

    def remove(self) -> None:
        """Remove the file: the training's result is written."""
        self.path.unlink(missing_ok=True)
