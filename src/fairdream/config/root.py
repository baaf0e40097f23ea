"""The configuration: typed, strict, and the only place where a setting has a name.

`config.yaml` documents each value; these models refuse what is unknown or out of range, and say how it is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError

from fairdream.config import command_line
from fairdream.config.ablations import Ablations
from fairdream.config.audits import Audits
from fairdream.config.base import Folder, Name, Overridable, Ratio, Section
from fairdream.config.baselines import Baselines
from fairdream.config.datasets import Dataset
from fairdream.config.finetune import Finetune
from fairdream.config.generate import Generate
from fairdream.config.models import Models
from fairdream.config.names import MethodName
from fairdream.config.pretrain import Pretrain
from fairdream.config.retrain import Retrain
from fairdream.config.select import Select
from fairdream.config.subjects import Subjects
from fairdream.config.swap import Swap
from fairdream.config.tables import Tables
from fairdream.config.uncertainty import Uncertainty
from fairdream.errors import UserError


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

    @model_validator(mode="after")
    def _overrides_are_of_what_is_there(self) -> Self:
        wrong: dict[str, list[str]] = {}  # where each is: all that is of a data set that was taken out is told at once
        for where, section in _overridable(self):
            for key, what in section.misnamed(self.datasets):
                wrong.setdefault(what, []).append(".".join((*where, "overrides", key)))
        if wrong:
            details: list[Any] = [
                {"type": PydanticCustomError("misnamed", what), "loc": (", ".join(keys),), "input": {}}
                for what, keys in wrong.items()
            ]
            raise ValidationError.from_exception_data("overrides", details)
        return self


def _overridable(section: Section, *where: str) -> Iterator[tuple[tuple[str, ...], Overridable]]:
    """Yield the sections with overrides, at any depth, and where they stand."""
    for name, field in type(section).model_fields.items():
        inner, there = getattr(section, name), (*where, field.alias or name)
        if isinstance(inner, Overridable):
            yield there, inner
        elif isinstance(inner, Section):
            yield from _overridable(inner, *there)


class _UniqueKeys(yaml.SafeLoader):
    """YAML without a key that stands twice in one section: the first would be lost without a word.

    What looks like a date, a number or the like and is none is told with its line.
    """

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            if isinstance(node, yaml.ScalarNode):
                node.value.encode()  # half of a character could be written nowhere
            return super().construct_object(node, deep)
        except (ValueError, TypeError, LookupError, AttributeError) as error:  # 2024-13-01, 0b_, !!bool a
            line = node.start_mark.line + 1
            raise yaml.YAMLError(f"line {line}: {node.value!r}: {error}; write it in quotes if it is text") from None

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else []:
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
    return validate_config(read_values(path), path)


def read_values(path: str | Path) -> Any:
    """Read a file's values without validating them: one that overlays another need not have every key.

    Raises
    ------
    UserError
        When it cannot be read, is not YAML, or has a key twice.
    """
    try:
        return yaml.load(Path(path).read_text(encoding="utf-8"), _UniqueKeys)
    except OSError as error:
        raise UserError(f"{path}: cannot read the configuration: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"{path}: this is not valid YAML: {error}") from None


def validate_config(raw: Any, path: str | Path = "config", given: Mapping[str, Any] | None = None) -> Config:
    """Validate plain values, as YAML reads them; see `load_config`.

    Parameters
    ----------
    given
        Those of `raw` that come from the command line, where a wrong one is told of.
    """
    if not isinstance(raw, dict):
        raise UserError(f"{path}: expected sections with keys and values, found {raw!r}")
    try:
        return Config.model_validate(raw)
    except ValidationError as error:
        places: dict[str, list[str]] = {}
        for detail in filter(_is_meant, error.errors()):
            place = "--config" if command_line.is_given(given or {}, detail) else str(path)
            places.setdefault(place, []).append(f"  {_explain(detail)}")
        raise UserError(
            "\n".join(f"{place}: {len(own)} value(s) to fix:\n" + "\n".join(own) for place, own in places.items())
        ) from None


def _is_meant(detail: Mapping[str, Any]) -> bool:
    """Whether an error is of the branch of a union, text or number, that the user's value is closer to."""
    branch, value = str(detail["loc"][-1]), detail["input"]
    if branch.startswith("literal["):
        return isinstance(value, bool) or not isinstance(value, int | float)
    return not (branch in {"int", "constrained-float"} and detail["type"] in {"int_type", "float_type"})


def _explain(detail: Mapping[str, Any]) -> str:
    # pydantic names the branch of a union in the location; the user only wrote the keys and list positions
    key = ".".join(
        str(part) for part in detail["loc"] if not str(part).startswith(("literal[", "constrained-", "float"))
    )
    value, kind = detail["input"], detail["type"]
    if str(detail["loc"][-1]) == "[key]" and not isinstance(value, str):
        return f"{key.removesuffix('.[key]')}: the name {value!r} is no text to YAML; write it in quotes"
    if kind == "string_type" and isinstance(value, (bool, float)):
        written = "write it in quotes, as it is written in the table"
        return f"{key.removesuffix('.str')}: {value!r} is no text to YAML; {written}"
    if kind == "extra_forbidden":
        return f"{key}: unknown key (value {value!r}); remove it or check its spelling"
    if kind == "missing":
        return f"{key}: this key is missing"
    if kind == "float_type" and isinstance(value, str):
        return f"{key}: {value!r} is text to YAML; write a number with a point, such as 1.0e-4"
    message = detail["msg"].removeprefix("Value error, ")
    return f"{key}: {message}" if isinstance(value, (dict, BaseModel)) else f"{key}: {value!r}: {message}"
