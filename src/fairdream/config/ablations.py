"""What the ablation table compares."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fairdream.config.base import Count, Fraction, Ratio, Section
from fairdream.config.names import MethodName, RecipeName


class Ablations(Section):
    """What the ablation table compares; of a method and biases of the run only `clusters` generates images."""

    method: MethodName = Field(description="The row whose images are used; one that is not in `methods` is made first.")
    biases: list[Literal["original"] | Ratio] = Field(
        min_length=1, description="Where. At a bias that is not in `biases`, adapters and images are made first."
    )
    alphas: list[Fraction] = Field(description="Weights of CLIP-Label; random and no selection are always there.")
    betas: list[Fraction] = Field(description="Weights of CE against SupCon.")
    recipes: list[RecipeName] = Field(description="Second stages; stage1_only: stage 1 alone.")
    clusters: list[Count] = Field(description="Numbers of clusters: each fine-tunes and generates again.")
