"""The configuration: typed, strict, and the only place where a setting has a name.

`config.yaml` documents each value; these models refuse what is unknown or out of range. YAML reads ``1e-4`` as text and
``1.0e-4`` as a number, so numbers are strict here and the message says how to write them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self, TypeAlias

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from fairdream.errors import UserError
from fairdream.fields import Folder, filled_with
from fairdream.methods import METHODS, RECIPES

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
Count = Annotated[int, Field(ge=1)]
GroupSize = Annotated[int, Field(ge=0)]
Name = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9_.]*[A-Za-z0-9])?$", description="Letters, digits, _ and .")
]
Ratio = Annotated[float, Field(gt=0.5, lt=1.0)]
if TYPE_CHECKING:  # a type checker knows no names that are read from a table
    MethodName: TypeAlias = str
    RecipeName: TypeAlias = str
else:
    MethodName = Literal[tuple(METHODS)]
    RecipeName = Literal[tuple(RECIPES)]


class Section(BaseModel):
    """Base of all sections: no unknown key, no silent conversion, no change after loading."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Overridable(Section):
    """A section whose values can differ for a method or a recipe; the values themselves are the model `BASE`."""

    BASE: ClassVar[type[Section]]
    overrides: dict[str, dict[str, Any]]

    @model_validator(mode="after")
    def _overrides_fit(self) -> Self:
        for name in self.overrides:
            try:
                self.of(name)
            except ValidationError as error:
                # told under the key that the user wrote
                details: list[Any] = [
                    {**detail, "loc": ("overrides", name, *detail["loc"])} for detail in error.errors()
                ]
                raise ValidationError.from_exception_data("overrides", details) from None
        return self

    def of(self, name: str) -> Any:
        """Return the values, of the model `BASE`, that hold for one method or recipe."""
        own = {field: getattr(self, field) for field in self.BASE.model_fields}
        override = self.overrides.get(name, {})
        # a length given here replaces the other kind of length
        lengths = {"epochs", "steps"}
        if lengths & override.keys() and lengths <= own.keys():
            own |= dict.fromkeys(lengths)
        return self.BASE(**{**own, **override})


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


class Table(Section):
    """A table of images: one row an image."""

    file: str = Field(description="CSV, TSV, JSON Lines or Parquet file, relative to the data set's folder.")
    path: str = Field("path", description="Column with the image's path, relative to `images`.")
    label: str | None = Field("label", description="Column of the class.")
    attribute: str | None = Field("attribute", description="Column of the bias attribute.")
    split: str | None = Field("split", description="Column of the split; null in all tables: see `held_out`.")


class FfrPrompts(Section):
    """FFR's prompts: every combination of a class's and an attribute's words, in turn over a group's images."""

    template: Annotated[str, filled_with("label", "attribute")] = Field(description="With {label} and {attribute}.")
    labels: dict[Name, Annotated[list[str], Field(min_length=1)]] = Field(description="Class -> its words.")
    attributes: dict[Name, Annotated[list[str], Field(min_length=1)]] = Field(description="Attribute -> its words.")


class Prompts(Section):
    """Prompt templates; {label}, {attribute} and {token} are replaced by the names in the data set's section."""

    group: Annotated[str, filled_with("label", "attribute")] = Field(
        description="Vanilla SD and LoRA: class and attribute."
    )
    subject: Annotated[str, filled_with("token", "label", "attribute")] = Field(
        description="DreamBooth: `{token}` and the class."
    )
    swapped: Annotated[str, filled_with("label", "attribute")] = Field(
        description="A group drawn from another group's adapter; no token."
    )
    negative: Annotated[str, filled_with("attribute")] = Field(
        "{attribute}", description="Negative prompt of a swapped group; {attribute} is the source's."
    )
    clip_label: Annotated[str, filled_with("label", "attribute")] = Field(
        "Photo of a {label}", description="CLIP-Label's text (paper, section 3.2)."
    )
    ffr: FfrPrompts | None = Field(None, description="FFR's own prompts; needed for its row.")


class HeldOut(Section):
    """Shares of each group of the training images that a seeded order takes for the other splits."""

    validation: float = Field(0.0, ge=0.0, lt=1.0, description="Share for validation.")
    test: float = Field(0.0, ge=0.0, lt=1.0, description="Share for the test; needed where no table has a split.")

    @model_validator(mode="after")
    def _some_are_left(self) -> Self:
        if not 0.0 < self.validation + self.test < 1.0:
            raise ValueError("validation and test must be more than nothing and leave images to train")
        return self


class Source(Section):
    """Where a data set lies and how its tables read: all that `manifest` and `index` need."""

    folder: Folder = Field(description="Folder with the data set as its authors ship it.")
    images: str = Field("", description="Image folder inside `folder`.")
    tables: list[Table] = Field(min_length=1, description="One table, or several joined on their path column.")
    label_values: dict[Name, str | int] | None = Field(None, description="Class -> its value in the table.")
    attribute_values: dict[Name, str | int] | None = Field(None, description="Attribute -> its value in the table.")
    split_values: dict[Literal["train", "validation", "test"], str | int] | None = Field(
        None, description="Split -> its value in the table."
    )
    held_out: HeldOut | None = Field(
        None, description="Splits that the tables do not have: shares of their training images, of all without a split."
    )
    missing_attribute: Literal["error", "drop"] = Field(
        "error", description="What an image with an empty attribute does: stop the run, or be left out and counted."
    )
    train_counts: dict[str, GroupSize] = Field(
        description="Training images of each `label-attribute` group at the original bias, checked against the data. "
        "They fix the subjects and so every job before any data is read. 0: a group without any, drawn by the swap."
    )

    @model_validator(mode="after")
    def _columns(self) -> Self:
        for role in ("label", "attribute", "split"):
            named = sum(getattr(table, role) is not None for table in self.tables)
            if role == "split" and named == 0 and self.held_out and self.held_out.test:
                continue
            if named != 1:
                without = "; or no table, with held_out.test" if role == "split" else ""
                raise ValueError(f"exactly one table must name the {role} column; give null in the others{without}")
        return self


class Download(Section):
    """Where a data set can be fetched without a licence click."""

    url: str = Field(pattern="^https?://", description="Of a tar or zip archive.")
    sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$", description="Of the archive; none: not checked.")


class OwnSplit(Section):
    """The training set of one bias, chosen by the user."""

    bias: Ratio = Field(description="The bias that it stands for.")
    file: str = Field(description="CSV with a column `path`, as the data set's table has it: the images that stay.")
    train_counts: dict[str, GroupSize] = Field(description="Its images of each group, checked against the file.")


class Dataset(Source):
    """One biased data set, with the names its prompts use."""

    origin: str = Field(description="Where to get it; shown when it is missing.")
    labels: dict[Name, str] = Field(min_length=2, description="Class -> its words in prompts.")
    attributes: dict[Name, str] = Field(min_length=2, description="Attribute -> its words in prompts.")
    clusters: Count | None = Field(None, description="k of Clustered DreamBooth; none: the paper's rule.")
    prompts: Prompts
    download: Download | None = Field(None, description="Where `snakemake … fetch_data` gets it.")
    splits: list[OwnSplit] = Field(default_factory=list, description="Training sets of your own for some biases.")

    def split_at(self, bias: str) -> OwnSplit | None:
        """Return the data set's own training set of a bias, if there is one."""
        return next((own for own in self.splits if str(own.bias) == bias), None)

    @model_validator(mode="after")
    def _groups(self) -> Self:
        if self.prompts.ffr is not None:
            for field, names in (("labels", self.labels), ("attributes", self.attributes)):
                if set(getattr(self.prompts.ffr, field)) != set(names):
                    raise ValueError(f"prompts.ffr.{field} must have exactly the keys {', '.join(names)}")
        groups = {f"{label}-{attribute}" for label in self.labels for attribute in self.attributes}
        places: list[Dataset | OwnSplit] = [self, *self.splits]
        for where in places:
            if set(where.train_counts) != groups:
                raise ValueError(f"train_counts must have exactly the groups {', '.join(sorted(groups))}")
            for label in self.labels:
                if not any(where.train_counts[f"{label}-{attribute}"] for attribute in self.attributes):
                    raise ValueError(f"train_counts: the class {label} has no training image in any group")
        for field, names in (("label_values", self.labels), ("attribute_values", self.attributes)):
            values = getattr(self, field)
            if values is not None and set(values) != set(names):
                raise ValueError(f"{field} must have exactly the keys {', '.join(names)}")
        for field in ("label_values", "attribute_values", "split_values"):
            values = [str(value) for value in (getattr(self, field) or {}).values()]
            if len(set(values)) != len(values):
                raise ValueError(f"{field}: two names stand for the same value of the table")
        return self

    def reading(self) -> Source:
        """Return the part that decides how the tables read, with the values in the tables spelled out.

        The words of the prompts are not in it: a new word must not read the data anew.
        """
        values = {name: getattr(self, name) for name in Source.model_fields}
        values["label_values"] = self.label_values or {name: name for name in self.labels}
        values["attribute_values"] = self.attribute_values or {name: name for name in self.attributes}
        values["split_values"] = self.split_values or {name: name for name in ("train", "validation", "test")}
        return Source(**values)


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
    learning_rate: Positive = Field(description="AdamW's, after the warm-up; constant.")
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
    """What the ablation table compares; none of it draws an image but `clusters`."""

    method: MethodName = Field(description="The row whose images are used.")
    biases: list[Literal["original"] | Ratio] = Field(min_length=1, description="Some of the run's biases.")
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


class Config(Section):
    """The whole configuration."""

    results: Folder = Field(description="Folder of everything that the run writes.")
    seed: int = Field(ge=0, description="Root of every random stream but the classifiers'.")
    seeds: list[Annotated[int, Field(ge=0)]] = Field(min_length=1, description="Seeds of the classifiers.")
    generator_seeds: list[Annotated[int, Field(ge=0)]] = Field(
        [0], min_length=1, description="Repetitions of fine-tuning and generation; the tables are over all of them."
    )
    biases: list[Literal["original"] | Ratio] = Field(
        min_length=1, description="`original`, and shares of bias-aligned images in each class."
    )
    bias_rule: Literal["class", "overall"] = Field(
        "class", description="A ratio's share is of each class (FFR), or of the whole training set."
    )
    methods: list[MethodName] = Field(min_length=1, description="Rows of Table 1.")
    datasets: dict[Name, Dataset] = Field(min_length=1, description="Data sets by name.")
    models: Models
    subjects: Subjects
    swap: Swap
    finetune: Finetune
    generate: Generate
    select: Select
    pretrain: Pretrain
    retrain: Retrain
    baselines: Baselines
    ablations: Ablations
    uncertainty: Uncertainty
    tables: Tables
    audits: Audits = Field(default_factory=Audits, description="The audit of the images.")

    @field_validator("seeds", "generator_seeds", "biases", "methods")
    @classmethod
    def _unique(cls, values: list[Any]) -> list[Any]:
        if len(set(values)) != len(values):
            raise ValueError("the same value stands twice")
        return values


class _UniqueKeys(yaml.SafeLoader):
    """YAML without a key that stands twice in one section: the first would be lost without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue  # a list or a section for a key, which YAML's own check refuses
            if key.value in seen:
                mark = key.start_mark
                raise yaml.YAMLError(f"the key {key.value!r} stands twice, again in line {mark.line + 1}")
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def load_config(path: str | Path) -> Config:
    """Read and validate a configuration file.

    Raises
    ------
    UserError
        One line for each wrong value: its key, the value and what is allowed; or that the file cannot be read, is not
        YAML, or has a key twice.
    """
    try:
        raw = yaml.load(Path(path).read_text(encoding="utf-8"), _UniqueKeys)
    except OSError as error:
        raise UserError(f"{path}: cannot read the configuration: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: this is not valid YAML: {error}") from None
    return validate_config(raw, path)


def validate_config(raw: Any, path: str | Path = "config") -> Config:
    """Validate plain values, as YAML reads them; see `load_config`."""
    if not isinstance(raw, dict):
        raise UserError(f"{path}: expected sections with keys and values, found {raw!r}")
    try:
        return Config.model_validate(raw)
    except ValidationError as error:
        # text or a number: the text's line tells all
        details = [own for own in error.errors() if (own["loc"][-1:], own["type"]) != (("int",), "int_type")]
        lines = [_explain(detail) for detail in details]
        raise UserError(
            f"{path}: {len(lines)} value(s) to mend:\n" + "\n".join(f"  {line}" for line in lines)
        ) from None


def _explain(detail: Mapping[str, Any]) -> str:
    # pydantic names the branch of a union in the location; the user only wrote the keys and list positions
    key = ".".join(
        str(part) for part in detail["loc"] if not str(part).startswith(("literal[", "constrained-", "float"))
    )
    value, kind = detail["input"], detail["type"]
    if str(detail["loc"][-1]) == "[key]" and not isinstance(value, str):
        return f"{key.removesuffix('.[key]')}: the name {value!r} is no text to YAML; write it in quotes"
    if kind == "string_type" and isinstance(value, (bool, float)):
        return (
            f"{key.removesuffix('.str')}: {value!r} is no text to YAML; write it in quotes, as it stands in the table"
        )
    if kind == "extra_forbidden":
        return f"{key}: unknown key (value {value!r}); remove it or check its spelling"
    if kind == "missing":
        return f"{key}: this key is missing"
    if kind == "float_type" and isinstance(value, str):
        return f"{key}: {value!r} is text to YAML; write a number with a point, such as 1.0e-4"
    message = detail["msg"].removeprefix("Value error, ")
    return f"{key}: {message}" if isinstance(value, (dict, BaseModel)) else f"{key}: {value!r}: {message}"
