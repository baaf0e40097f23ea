"""Stage 2: retraining on the real images."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from fairdream.config.base import Fraction, Overridable
from fairdream.config.training import Training
from fairdream.methods import RECIPES


class RetrainValues(Training):
    """Stage 2: the real images."""

    beta: Fraction = Field(description="Weight of CE, as in stage 1; SupCon has no gradient on a frozen encoder.")


class Retrain(RetrainValues, Overridable):
    """Stage 2."""

    BASE: ClassVar = RetrainValues
    KIND: ClassVar = "recipe"
    NAMES: ClassVar = RECIPES
