"""The pretrained networks that a run starts from."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from fairdream.config.base import Folder, Section


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
    def folder_name(self) -> str:
        """How the folder is called that a model of the hub is fetched to: each revision has its own."""
        return f"{self.id}--{self.revision}".replace("/", "--")

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

    @model_validator(mode="after")
    def _there_are_weights(self) -> Self:
        if self.name == "small_cnn" and self.weights is not None:
            raise ValueError(f"small_cnn has no pretrained weights, so none called {self.weights}; write weights: null")
        return self


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
        return Path(own.id).expanduser() if own.is_local else Path(self.folder, own.folder_name)
