"""Stage 2: retraining on the real images."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from fairdream.config.base import Fraction, Overridable
from fairdream.config.names import RecipeName
from fairdream.config.training import Training


class RetrainValues(Training):
    """Stage 2: the real images."""

    beta: Fraction = Field(description="Weight of CE, as in stage 1; SupCon has no gradient on a frozen encoder.")


class Retrain(RetrainValues, Overridable):
    """Stage 2; `overrides` changes values of single recipes."""

    BASE: ClassVar = RetrainValues
    overrides: dict[RecipeName, dict[str, Any]] = Field(
        default_factory=dict, description="Recipe -> values that differ for it."
    )
