"""Generation: the synthetic images."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from fairdream.config.base import Count, Fraction, Positive, Section


class Generate(Section):
    """Sampling of the synthetic images; the words are the stock pipeline's."""

    images_per_group: Count = Field(description="M.")
    shard_size: Count = Field(description="Images a job; in the shard's name, so a change makes new shards.")
    scheduler: str = Field(description="Class name of a diffusers scheduler.")
    timestep_spacing: Literal["leading", "trailing", "linspace"] | None = Field(
        None,
        description="Where the steps lie between noise and image; null: as the base model or the scheduler has it.",
    )
    num_inference_steps: Count = Field(description="Denoising steps per image.")
    guidance_scale: Positive = Field(description="Classifier-free guidance; 1 or less: none.")
    guidance_interval: list[Fraction] | None = Field(
        None,
        min_length=2,
        max_length=2,
        description="[start, stop]: the share of the steps that are guided; null: all of them.",
    )
    adapter_scale: Positive = Field(description="Strength of the adapter at sampling.")
    max_redraws: Count = Field(description="New seeds tried for a NaN, black or flat image before the job stops.")

    @field_validator("guidance_interval")
    @classmethod
    def _interval(cls, interval: list[float] | None) -> list[float] | None:
        if interval and interval[0] >= interval[1]:
            raise ValueError("the start must lie before the stop")
        return interval
