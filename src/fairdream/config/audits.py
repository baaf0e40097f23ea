"""The audit of the images."""

from __future__ import annotations

from pydantic import Field

from fairdream.config.base import Fraction, Section


class Audits(Section):
    """The audit of the images: when one is a near copy of a training image."""

    copy_quantile: Fraction = Field(
        0.99, description="Of the training images' similarities to their nearest other one: a near copy has no less."
    )
    copy_embedding: Fraction = Field(0.9, description="Cosine of the embeddings that a near copy has at least.")
    copy_pixels: Fraction = Field(0.9, description="Correlation of the 16 x 16 pixels that it has at least.")
