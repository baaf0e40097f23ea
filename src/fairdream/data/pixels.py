"""Decoded images in a scratch file, and their batches on the device, read ahead of the step that uses them."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from fairdream.runtime.prefetch import prefetch

if TYPE_CHECKING:
    import numpy as np
    import torch


class Pixels:
    """Images (n, 3, h, w) of bytes in a file; only what is asked for is in memory.

    Not a memory map: of one, every page that was ever touched counts as the job's memory, and a full disk is a SIGBUS
    and not an error with a message.

    Parameters
    ----------
    path
        The file; made anew.
    count, size
        Number of images, and their pixels a side.
    """

    def __init__(self, path: Path, count: int, size: int) -> None:
        import numpy as np

        self.shape = (count, 3, size, size)
        self._bytes = 3 * size * size
        self._rows = np.arange(count)
        self._file = open(path, "w+b", buffering=0)  # noqa: SIM115 (open as long as this object lives)
        self._file.truncate(count * self._bytes)

    def __len__(self) -> int:
        return len(self._rows)

    def subset(self, rows: np.ndarray) -> Pixels:
        """Return some of the images in an order of their own, which then count from 0; nothing is copied."""
        some = copy.copy(self)
        some._rows = self._rows[rows]
        some.shape = (len(rows), *self.shape[1:])
        return some

    def __setitem__(self, row: int, image: np.ndarray) -> None:
        """Write one image (3, h, w)."""
        view, at = memoryview(image.tobytes()), int(self._rows[row]) * self._bytes
        while view:
            written = os.pwrite(self._file.fileno(), view, at)
            view, at = view[written:], at + written

    def __getitem__(self, rows: slice | np.ndarray | int) -> np.ndarray:
        """Read images (…, 3, h, w): one, a range, or some in an order of their own."""
        import numpy as np

        wanted = np.arange(*rows.indices(len(self))) if isinstance(rows, slice) else np.asarray(rows)
        values = np.empty((*wanted.shape, *self.shape[1:]), np.uint8)
        self.read(wanted.reshape(-1), values.reshape(-1, *self.shape[1:]))
        return values

    def read(self, rows: np.ndarray, values: np.ndarray) -> None:
        """Read the images `rows` (b,) into `values` (b, 3, h, w), an array in C order; from any thread."""
        file = self._file.fileno()
        flat = values.reshape(len(rows), -1).data
        for number, row in enumerate(self._rows[rows].tolist()):
            part, at = memoryview(flat[number : number + 1].cast("B")), row * self._bytes
            while part:
                read = os.preadv(file, [part], at)
                part, at = part[read:], at + read


def feed(
    pixels: Pixels, batches: Iterable[np.ndarray], device: torch.device
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield the rows (b,) and the bytes (b, 3, h, w) of each batch on the device.

    Threads read the next batches while the step computes. On a GPU they read into page-locked memory, from which the
    copy is queued behind the step in work: the host waits neither for the file nor for the copy. A batch is the same
    whatever was read ahead.
    """
    import torch

    pinned = device.type == "cuda"

    def read(rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        values = torch.empty((len(rows), *pixels.shape[1:]), dtype=torch.uint8, pin_memory=pinned)
        pixels.read(rows, values.numpy())
        index = torch.from_numpy(rows)
        return index.pin_memory() if pinned else index, values

    for index, values in prefetch(read, batches, workers=2, depth=4):
        yield index.to(device, non_blocking=True), values.to(device, non_blocking=True)
