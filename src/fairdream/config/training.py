"""What both stages of the classifier have in common."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from fairdream.config.base import Count, Fraction, Positive, Section


class Training(Section):
    """An optimiser and its length: exactly one of epochs and steps."""

    optimizer: Literal["sgd", "adam"] = Field("sgd", description="sgd or adam.")
    learning_rate: Positive = Field(description="The optimiser's.")
    schedule: Literal["constant", "cosine"] = Field("constant", description="Of the learning rate; cosine ends at 0.")
    weight_decay: float = Field(ge=0.0, description="The optimiser's.")
    momentum: Fraction = Field(description="SGD's; 0: plain SGD.")
    batch_size: int = Field(ge=2, description="Images a step.")
    epochs: Count | None = Field(None, description="Passes over the images; or give `steps`.")
    steps: Count | None = Field(None, description="Optimiser steps; or give `epochs`.")

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("give exactly one of epochs and steps")
        return self


class Augmentation(Section):
    """Random views of an image."""

    crop_scale: Fraction = Field(description="Smallest area of the random resized crop; 1: no crop.")
    flip: bool = Field(description="Random horizontal flips.")
