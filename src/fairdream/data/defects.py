"""What makes an image show nothing: generation repeats such images, the audit counts them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

DEFECTS = ("NaN", "black", "flat")
FLAT_STD = 2.0  # of 255: an image with less contrast than this shows nothing


def defect(values: np.ndarray) -> str | None:
    """Return which of `DEFECTS` an image (h, w, 3) in [0, 1] has, if any."""
    import numpy as np

    if not np.isfinite(values).all():
        return "NaN"
    if values.max() * 255 < FLAT_STD:
        return "black"
    return "flat" if values.std() * 255 < FLAT_STD else None
