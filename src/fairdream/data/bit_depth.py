"""Images of 16 bits whose values have fewer: 12 of a scanner or a camera, say.

Of 16 bits the upper eight are read (`fairdream.data.images`), so such an image is nearly black to every stage.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from fairdream.data.images import MAX_PIXELS, open_image

BRIGHT = 2**14  # a value from here on uses one of the two upper bits


def brightest_of_dark(path: Path) -> int | None:
    """Return the largest value of an image of 16 bits that leaves the upper bits unused; of any other one nothing."""
    import numpy as np

    try:
        with open_image(path) as image:
            if not image.mode.startswith("I;16") or image.width * image.height > MAX_PIXELS:
                return None
            value = int(np.asarray(image).max())
    except Exception:  # a decoder raises whatever a broken file leads it to; who reads the image tells it
        return None
    return value if 0 < value < BRIGHT else None


def told(dark: Iterable[tuple[Path, int]]) -> str | None:
    """Return in a sentence that images of 16 bits are dark, given each with its largest value; nothing for none."""
    found = list(dark)
    if not found:
        return None
    path, value = found[0]
    bits = max(value for _, value in found).bit_length()
    return (
        f"{len(found)} image(s) of 16 bits use the lower {bits} alone, first {path}, whose largest value is {value} of "
        "65535: of 16 bits the upper eight are read, so they are nearly black; save them with their values multiplied "
        f"by {2**16 >> bits}"
    )
