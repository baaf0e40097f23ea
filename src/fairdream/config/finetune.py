"""Fine-tuning: the adapters."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from fairdream.config.base import Count, Overridable, Positive, Section, Words
from fairdream.methods import METHODS


class FinetuneValues(Section):
    """Values of one adapter's training."""

    rank: Count = Field(description="Rank of the LoRA matrices.")
    alpha: Positive = Field(description="LoRA scale is alpha / rank.")
    target_modules: list[str] = Field(min_length=1, description="Names of the UNet's layers that get a LoRA matrix.")
    resolution: int = Field(ge=8, multiple_of=8, description="Pixels a side; the VAE makes 1 of 8.")
    learning_rate: Positive = Field(description="AdamW's, after the warm-up.")
    schedule: Literal["constant", "cosine"] = Field("constant", description="After the warm-up; cosine ends at 0.")
    weight_decay: float = Field(ge=0.0, description="AdamW's.")
    warmup_steps: int = Field(ge=0, description="Steps over which the learning rate rises linearly.")
    max_grad_norm: Positive = Field(description="Gradients of an adapter are scaled down to this norm.")
    batch_size: Count = Field(description="Images a step.")
    steps: Count = Field(description="Optimiser steps of each adapter.")


class Finetune(FinetuneValues, Overridable):
    """Training of the adapters."""

    BASE: ClassVar = FinetuneValues
    KIND: ClassVar = "method"
    NAMES: ClassVar = tuple(METHODS)
    token: Words = Field(min_length=1, description="DreamBooth's [V].")
