"""Sections of the configuration that describe a data set: its files, words, splits and prompts."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from fairdream.config.base import Count, Folder, GroupSize, Name, Ratio, Section, Words, filled_with


class Table(Section):
    """A table of images: one row per image."""

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
    labels: dict[Name, Words] = Field(min_length=2, description="Class -> its words in prompts.")
    attributes: dict[Name, Words] = Field(min_length=2, description="Attribute -> its words in prompts.")
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
            if wrong := set(where.train_counts) ^ groups:
                raise ValueError(
                    f"train_counts must have exactly the groups {', '.join(sorted(groups))}; "
                    f"lacking or too many: {', '.join(sorted(wrong))}"
                )
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
