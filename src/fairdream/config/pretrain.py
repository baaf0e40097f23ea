"""Stage 1: pre-training on synthetic images."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from fairdream.config.base import Fraction, Overridable, Positive
from fairdream.config.names import MethodName
from fairdream.config.training import Augmentation, Training


class PretrainValues(Training, Augmentation):
    """Stage 1: encoder and last layer on synthetic images (ERM: on the real ones)."""

    beta: Fraction = Field(description="Loss = beta * CE + (1 - beta) * SupCon.")
    temperature: Positive = Field(description="SupCon's temperature.")
    image_size: int = Field(ge=8, description="Pixels a side.")


class Pretrain(PretrainValues, Overridable):
    """Stage 1; `overrides` changes values of single methods."""

    BASE: ClassVar = PretrainValues
    overrides: dict[MethodName, dict[str, Any]] = Field(
        default_factory=dict, description="Method -> values that differ for it."
    )
