"""All images of a data set as `embed` takes them, which encodes training images: an attribute is inferred for all."""

from __future__ import annotations

from fairdream.runtime.files import atomic


def every_image(index: str, images: str) -> None:
    """Write the index with every image as a training image, and without their attribute."""
    import pandas as pd

    table = pd.read_parquet(index).drop(columns="attribute").assign(split="train")
    with atomic(images) as path:
        table.to_parquet(path, index=False)
