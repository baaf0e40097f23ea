"""The methods that are compared with."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from fairdream.config.base import Count, Fraction, Overridable, Positive, Section


class GroupDroValues(Section):
    """Values of Group-DRO."""

    step_size: Positive = Field(description="eta of the group weights.")
    adjustment: float = Field(ge=0.0, description="C of the generalisation adjustment C / sqrt(n_g).")


class SelfValues(Section):
    """Values of SELF's stage 2."""

    score: Literal[
        "early_stop_disagreement", "dropout_disagreement", "misclassification", "early_stop_misclassification"
    ] = Field(description="What the images are chosen by.")
    checkpoints: list[Fraction] = Field(min_length=1, description="Early checkpoints tried, as shares of stage 1.")
    dropouts: list[Fraction] = Field(min_length=1, description="Dropout rates tried by dropout_disagreement.")
    images: list[Count] = Field(min_length=1, description="Numbers of chosen images tried.")
    learning_rates: list[Positive] = Field(min_length=1, description="Learning rates tried.")
    steps: Count = Field(description="Steps of the last layer.")
    batch_size: int = Field(ge=2, description="Images a step, classes equally often.")
    weight_decay: float = Field(ge=0.0, description="SGD's.")


class DfrValues(Section):
    """Values of DFR's stage 2."""

    strengths: list[Positive] = Field(min_length=1, description="Inverse l1 penalties tried.")
    refits: Count = Field(description="Balanced subsets whose coefficients are averaged.")


class JttValues(Section):
    """Values of JTT's stage 1."""

    first: Fraction = Field(description="Share of stage 1 after which the mistakes are counted.")
    upweight: Count = Field(description="Copies of a mistake that the second training set has beside the image itself.")


class GroupDro(GroupDroValues, Overridable):
    """Group-DRO (Sagawa et al. 2020)."""

    BASE: ClassVar = GroupDroValues


class Self(SelfValues, Overridable):
    """SELF (LaBonte et al. 2023): the last layer on held-out images that the classifier is unsure of."""

    BASE: ClassVar = SelfValues


class Dfr(DfrValues, Overridable):
    """DFR (Kirichenko et al. 2023): a logistic regression on balanced held-out images. Beyond the paper."""

    BASE: ClassVar = DfrValues


class Jtt(JttValues, Overridable):
    """JTT (Liu et al. 2021): train, and train again with copies of the mistakes. Beyond the paper."""

    BASE: ClassVar = JttValues


class Baselines(Section):
    """What only single baselines have."""

    grey_distance: Positive = Field(
        description="FFR: an image is grey when no channel's mean is farther than this (of 255) from their mean."
    )
    gdro: GroupDro
    self_: Self = Field(alias="self", description="SELF's.")
    dfr: Dfr
    jtt: Jtt
