"""The methods that are compared with."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from fairdream.config.base import Count, Fraction, Overridable, Positive, Section
from fairdream.config.names import MethodName


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


class AfrFit(Section):
    """AFR's second stage: the last layer."""

    gammas: list[Annotated[float, Field(ge=0.0)]] = Field(
        [4 + 0.5 * number for number in range(33)],
        min_length=1,
        description="Tried: how much more an image weighs that ERM is unsure of.",
    )
    penalties: list[Annotated[float, Field(ge=0.0)]] = Field(
        [0.0, 0.1, 0.2, 0.3], min_length=1, description="Tried: lambda, what holds the last layer near ERM's."
    )
    learning_rate: Positive = Field(0.01, description="Of gradient descent on all images at once.")
    steps: Count = Field(500, description="At most; the best number of them is chosen.")


class AfrValues(AfrFit):
    """Values of AFR."""

    share: Annotated[float, Field(gt=0.0, lt=1.0)] = Field(
        0.2, description="Share of each class's training images that is kept from stage 1 for stage 2."
    )


class DfrSyntheticValues(Section):
    """DFR on synthetic images: without a group label of a real image. Beyond the paper; DFR's grid is its own too."""

    images_of: MethodName = Field("clustered_dreambooth", description="Row of the run whose selected images are used.")
    images_per_group: Count = Field(133, description="Images of each group, by chance of those selected.")


class HsfmValues(Section):
    """Values of HSFM's stage 2."""

    images: Count = Field(16, description="Training images of each class whose features are moved.")
    inner_steps: Count = Field(15, description="T, steps of the last layer on the features.")
    inner_rate: Positive = Field(5.0e-5, description="alpha, the learning rate of these steps.")
    updates: Count = Field(15, description="K_H, moves of the features in an epoch.")
    outer_rate: Positive = Field(1.0, description="eta, Adam's learning rate of the features.")
    hard_images: Count = Field(64, description="K_hard, held-out images of each class that are hardest.")
    epochs: Count = Field(40, description="At most; the best one is chosen.")


class Afr(AfrValues, Overridable):
    """AFR (Qiu et al. 2023): the last layer on training images that ERM has not seen. Beyond the paper."""

    BASE: ClassVar = AfrValues


class Hsfm(HsfmValues, Overridable):
    """HSFM (arXiv 2603.29313): the last layer on features moved for hard held-out images. Beyond the paper."""

    BASE: ClassVar = HsfmValues


class Baselines(Section):
    """What only single baselines have."""

    grey_distance: Positive = Field(
        description="FFR: an image is grey when no channel's mean is farther than this (of 255) from their mean."
    )
    gdro: GroupDro
    self_: Self = Field(alias="self", description="SELF's.")
    dfr: Dfr
    jtt: Jtt
    afr: Afr = Field(default_factory=Afr, description="AFR's.")
    dfr_synthetic: DfrSyntheticValues = Field(
        default_factory=DfrSyntheticValues, description="What DFR on synthetic images has beside DFR's."
    )
    hsfm: Hsfm = Field(default_factory=Hsfm, description="HSFM's.")
