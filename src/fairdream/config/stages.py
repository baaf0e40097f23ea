"""Sections of the configuration that tell the models and the stages what to do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, TypeAlias

from pydantic import Field, field_validator, model_validator

from fairdream.config.base import Count, Folder, Fraction, Overridable, Positive, Ratio, Section
from fairdream.methods import METHODS, RECIPES

if TYPE_CHECKING:  # a type checker knows no names that are read from a table
    MethodName: TypeAlias = str
    RecipeName: TypeAlias = str
else:
    MethodName = Literal[tuple(METHODS)]
    RecipeName = Literal[tuple(RECIPES)]


class DiffusionModel(Section):
    """The base model: a hub id with a pinned revision, or a local folder in diffusers' layout."""

    id: str = Field(description="Hub id (needs `revision`) or path of a local diffusers folder.")
    revision: str | None = Field(None, description="Commit of the hub repository; a branch name would drift.")

    @model_validator(mode="after")
    def _pinned(self) -> Self:
        # A folder is named as one: with a leading ./ or / or an existing path. Everything else is a hub id.
        if not self.is_local and self.revision is None:
            raise ValueError("a hub id needs a pinned `revision` (40 hexadecimal digits); a local folder must exist")
        return self

    @property
    def is_local(self) -> bool:
        """Whether `id` is a folder on this machine."""
        return self.id.startswith((".", "/", "~")) or Path(self.id).is_dir()


class ClipModel(Section):
    """The CLIP model that embeds, clusters and filters: an open_clip architecture and its weights."""

    name: str = Field(description="open_clip model name, or `local-dir:FOLDER`.")
    pretrained: str | None = Field(None, description="open_clip tag such as `openai`; none for a `local-dir:`.")


class EncoderModel(Section):
    """The classifier's encoder and its initialisation."""

    name: str = Field(description="A torchvision classification model such as `resnet50`, or `small_cnn`.")
    weights: str | None = Field(None, description="torchvision weights such as `IMAGENET1K_V1`; none: random.")


class Models(Section):
    """The three networks that a run starts from."""

    folder: Folder = Field(description="Where `fetch_model` keeps downloaded weights.")
    diffusion: DiffusionModel
    clip: ClipModel
    encoder: EncoderModel

    @property
    def diffusion_folder(self) -> Path:
        """Where the base model lies, or will once `fetch_model` has fetched it."""
        own = self.diffusion
        return Path(own.id).expanduser() if own.is_local else Path(self.folder, own.id.replace("/", "--"))


class Subjects(Section):
    """Which training images each generator learns (paper, sections 3.1 and 4.2)."""

    dreambooth_images: Count = Field(description="DreamBooth: min(this, |g|) images of each group.")
    images_per_cluster: Count = Field(description="k = max(1, min(round(M / this), max_clusters)).")
    max_clusters: Count = Field(description="Upper limit of k, and so of the adapters of a group.")
    min_cluster_size: Count = Field(description="A smaller cluster takes its nearest images from its neighbours.")
    n_init: Count = Field(description="Restarts of k-means.")


class Swap(Section):
    """When a conflicting group is drawn from its class's aligned group (paper, section 4, Fig. 3)."""

    from_ratio: Ratio = Field(description="From this bias ratio on.")
    min_images_for_own_model: Count = Field(description="A group with fewer training images is swapped at any bias.")
    guidance_scale: Positive | None = Field(None, description="Guidance of swapped prompts; none: generate's.")


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
    """Training of the adapters; `overrides` changes values of single methods."""

    BASE: ClassVar = FinetuneValues
    token: str = Field(min_length=1, description="DreamBooth's [V].")
    overrides: dict[MethodName, dict[str, Any]] = Field(
        default_factory=dict, description="Method -> values that differ for it."
    )


class Generate(Section):
    """Sampling of the synthetic images; the words are the stock pipeline's."""

    images_per_group: Count = Field(description="M.")
    shard_size: Count = Field(description="Images a job; in the shard's name, so a change makes new shards.")
    scheduler: str = Field(description="Class name of a diffusers scheduler.")
    timestep_spacing: Literal["leading", "trailing", "linspace"] | None = Field(
        None,
        description="Where the steps lie between noise and image; null: as the base model or the scheduler has it.",
    )
    num_inference_steps: Count = Field(description="Denoising steps an image.")
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


class Select(Section):
    """Filtering by CLIP score (paper, eq. 1)."""

    fraction: Fraction = Field(description="Share of each group that is kept.")
    alpha: Fraction = Field(description="Weight of CLIP-Label against CLIP-Centroid.")
    alpha_swapped: Fraction = Field(description="The same where groups are swapped: too few images for a centroid.")
    standardize: bool = Field(description="z-score both terms within the group before they are summed.")
    drop_copies: bool = Field(False, description="Leave near copies of training images out of what was selected.")


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


class RetrainValues(Training):
    """Stage 2: the real images."""

    beta: Fraction = Field(description="Weight of CE, as in stage 1; SupCon has no gradient on a frozen encoder.")


class Retrain(RetrainValues, Overridable):
    """Stage 2; `overrides` changes values of single recipes."""

    BASE: ClassVar = RetrainValues
    overrides: dict[RecipeName, dict[str, Any]] = Field(
        default_factory=dict, description="Recipe -> values that differ for it."
    )


class GroupDroValues(Section):
    """Group-DRO (Sagawa et al. 2020)."""

    step_size: Positive = Field(description="eta of the group weights.")
    adjustment: float = Field(ge=0.0, description="C of the generalisation adjustment C / sqrt(n_g).")


class SelfValues(Section):
    """SELF (LaBonte et al. 2023): the last layer on held-out images that the classifier is unsure of."""

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
    """DFR (Kirichenko et al. 2023): a logistic regression on balanced held-out images. Beyond the paper."""

    strengths: list[Positive] = Field(min_length=1, description="Inverse l1 penalties tried.")
    refits: Count = Field(description="Balanced subsets whose coefficients are averaged.")


class JttValues(Section):
    """JTT (Liu et al. 2021): train, and train again with the mistakes repeated. Beyond the paper."""

    first: Fraction = Field(description="Share of stage 1 after which the mistakes are counted.")
    upweight: Count = Field(description="How often a mistake stands in the second training set.")


class Baselines(Section):
    """What only single baselines have."""

    grey_distance: Positive = Field(
        description="FFR: an image is grey when no channel's mean is farther than this (of 255) from their mean."
    )
    gdro: GroupDroValues
    self_: SelfValues = Field(alias="self", description="SELF's.")
    dfr: DfrValues
    jtt: JttValues


class Ablations(Section):
    """What the ablation table compares; of a row and biases of the run none of it draws an image but `clusters`."""

    method: MethodName = Field(description="The row whose images are used; one that is not in `methods` is made first.")
    biases: list[Literal["original"] | Ratio] = Field(
        min_length=1, description="Where. At a bias that is not in `biases`, adapters and images are made first."
    )
    alphas: list[Fraction] = Field(description="Weights of CLIP-Label; random and no selection are always there.")
    betas: list[Fraction] = Field(description="Weights of CE against SupCon.")
    recipes: list[RecipeName] = Field(description="Second stages; stage1_only: stage 1 alone.")
    clusters: list[Count] = Field(description="Numbers of clusters: each fine-tunes and draws anew.")


class Uncertainty(Section):
    """Bootstrap intervals of the worst-group accuracies."""

    draws: Count = Field(description="Test sets drawn with replacement.")
    small_group: Count = Field(description="Warn of a test group with fewer images.")


class Audits(Section):
    """The audit of the images: when one is a near copy of a training image."""

    copy_quantile: Fraction = Field(
        0.99, description="Of the training images' similarities to their nearest other one: a near copy has no less."
    )
    copy_embedding: Fraction = Field(0.9, description="Cosine of the embeddings that a near copy has at least.")
    copy_pixels: Fraction = Field(0.9, description="Correlation of the 16 x 16 pixels that it has at least.")


class Tables(Section):
    """How the tables are printed."""

    mark_all_rows: bool = Field(description="Mark best and second among all rows, not only the synthetic-data ones.")
