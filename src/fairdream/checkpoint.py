"""Where the training of a classifier saves itself, so that the next attempt of its job goes on there."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fairdream.files import atomic
from fairdream.job import LOGGER

EVERY = 120.0  # seconds between two checkpoints: what a killed job does again at most


class Checkpoint:
    """The state of one training in a file.

    Parameters
    ----------
    path
        The file; it exists only while the training is not done.
    identity
        A digest of all that the training depends on. A file with another one is that of other images or values, and is
        passed over.
    stopping
        Says whether the job is asked to end (`fairdream.job.stop_asked`).
    """

    def __init__(self, path: Path, identity: str, stopping: Callable[[], bool] = lambda: False) -> None:
        self.path, self.identity, self.stopping = path, identity, stopping
        self.saved = time.monotonic()

    def load(self) -> dict[str, Any] | None:
        """Return the state that an earlier attempt saved, on the CPU, or None."""
        import torch

        if not self.path.is_file():
            return None
        state = torch.load(self.path, map_location="cpu", weights_only=True)
        if state["identity"] != self.identity:
            LOGGER.info("%s is of another training", self.path)
            return None
        LOGGER.info("going on at step %d from %s", state["step"], self.path)
        return state

    def due(self) -> bool:
        """Say whether it is time to save."""
        return self.stopping() or time.monotonic() - self.saved > EVERY

    def save(self, state: dict[str, Any]) -> None:
        """Replace the file; `state` has tensors, numbers, texts, lists and dictionaries, and the key "step"."""
        import torch

        with atomic(self.path) as temporary:
            torch.save({"identity": self.identity, **state}, temporary)
        self.saved = time.monotonic()

    def remove(self) -> None:
        """Remove the file: the training's result is written."""
        self.path.unlink(missing_ok=True)
