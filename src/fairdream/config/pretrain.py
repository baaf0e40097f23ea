"""Stage 1: pre-training on synthetic images."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from fairdream.config.base import Fraction, Overridable, Positive
from fairdream.config.training import Augmentation, Training
from fairdream.methods import METHODS


class PretrainValues(Training, Augmentation):
    """Stage 1: encoder and last layer on synthetic images (ERM: on the real ones)."""

    beta: Fraction = Field(description="Loss = beta * CE + (1 - beta) * SupCon.")
    temperature: Positive = Field(description="SupCon's temperature.")
    image_size: int = Field(ge=8, description="Pixels a side.")


class Pretrain(PretrainValues, Overridable):
    """Stage 1."""

    BASE: ClassVar = PretrainValues
    KIND: ClassVar = "method"
    NAMES: ClassVar = tuple(METHODS)
