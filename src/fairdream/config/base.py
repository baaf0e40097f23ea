"""What the sections of the configuration are made of: their base, and types of values with their bounds.

Numbers are strict: YAML reads ``1e-4`` as text and ``1.0e-4`` as a number.
"""

from __future__ import annotations

import re
import string
from collections.abc import Collection, Iterator, Mapping
from typing import Annotated, Any, ClassVar, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    ValidationError,
    model_validator,
)
from pydantic_core import CoreSchema

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
Count = Annotated[int, Field(ge=1)]
GroupSize = Annotated[int, Field(ge=0)]
Name = Annotated[
    str,
    # two of them, and more, are the name of one folder
    Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9_.]*[A-Za-z0-9])?$", max_length=100, description="Letters, digits, _ and ."),
]
Ratio = Annotated[float, Field(gt=0.5, lt=1.0)]


def filled_with(*names: str) -> AfterValidator:
    """Return a check that a template asks for nothing else than some names.

    A typing error in a prompt would otherwise show when the prompts are made, and `{token}` in the wrong prompt never.
    """

    def check(template: str) -> str:
        try:
            asked = {field for _, field, _, _ in string.Formatter().parse(template) if field is not None}
        except ValueError as error:
            raise ValueError(f"{error}; write {{{{ and }}}} for braces that are meant") from None
        if unknown := sorted(asked - set(names)):
            allowed = ", ".join(f"{{{name}}}" for name in names)
            raise ValueError(f"{{{unknown[0]}}} is nothing that can be filled in here; allowed: {allowed}")
        return template

    return AfterValidator(check)


def _says_something(text: str) -> str:
    """Refuse words of nothing: a prompt would name neither class nor attribute."""
    if not text.strip():
        raise ValueError("write words that a prompt can say; of what is not there too, such as 'without glasses'")
    return text


Words = Annotated[str, AfterValidator(_says_something)]


def _usable(folder: str) -> str:
    """Refuse a folder that Snakemake would read as a pattern, or the system not as it is meant."""
    if not folder.strip() or re.search(r"[{}\x00-\x1f]", folder) or folder.startswith("~"):
        raise ValueError("a folder needs a name, without braces and line breaks, and the whole path instead of ~")
    return folder


Folder = Annotated[str, AfterValidator(_usable)]


class Section(BaseModel):
    """Base of all sections: no unknown key, no silent conversion, no change after loading."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Overridable(Section):
    """A section whose values, the model `BASE`, can differ by method (or recipe), by data set, and by both.

    The section's value gives way to the method's, that to the data set's, and that to the method's on the data set.
    """

    BASE: ClassVar[type[Section]]
    KIND: ClassVar[str] = ""  # what `NAMES` are names of; none: values differ by data set alone
    NAMES: ClassVar[tuple[str, ...]] = ()
    overrides: dict[str, dict[str, Any]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _overrides_fit(self) -> Self:
        own = self.of().model_dump()  # what is wrong without an override is told without one
        for key, override in self.overrides.items():
            try:
                self.BASE(**_over(own, override))
            except ValidationError as error:
                # told under the key that the user wrote
                details: list[Any] = [
                    {**detail, "loc": ("overrides", key, *detail["loc"])} for detail in error.errors()
                ]
                raise ValidationError.from_exception_data("overrides", details) from None
        return self

    def of(self, name: str = "", dataset: str = "") -> Any:
        """Return the values, of the model `BASE`, that hold for a method or recipe on a data set."""
        own = {field: getattr(self, field) for field in self.BASE.model_fields}
        for key in (name, dataset, f"{name}@{dataset}"):
            own = _over(own, self.overrides.get(key, {}))
        return self.BASE(**own)

    def misnamed(self, datasets: Collection[str]) -> Iterator[tuple[str, str]]:
        """Yield the keys of overrides that are for nothing, or for two things, and what is wrong with each."""
        for key in self.overrides:
            name, both, dataset = key.rpartition("@") if self.KIND else ("", "", key)
            known = f"{self.KIND} ({', '.join(self.NAMES)})"
            if both and name not in self.NAMES:
                yield key, f"{name} is no {known}; correct the name, or remove these values"
            elif not both and key in self.NAMES:
                if key in datasets:
                    yield key, f"a {self.KIND} and a data set have this name; rename the data set"
            elif dataset not in datasets:
                neither = f" and no {known}" if self.KIND and not both else ""
                there = f"{dataset} is no data set of this configuration ({', '.join(datasets)}){neither}"
                yield key, f"{there}; correct the name, or remove these values"

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Let editors complete the keys of overrides and the values below them."""
        schema = handler(core_schema)
        values = cls.BASE.model_json_schema()["properties"]
        for own in values.values():
            own.pop("default", None)  # what is not given is the section's
        by = "by `DATASET`"
        names: list[dict[str, Any]] = [{"pattern": r"^[A-Za-z0-9_.]+$"}]
        if kind := cls.KIND.upper():
            by = f"by `{kind}`; over these by `DATASET`; over both by `{kind}@DATASET`"
            names = [{"enum": list(cls.NAMES)}, {"pattern": rf"^(({'|'.join(cls.NAMES)})@)?[A-Za-z0-9_.]+$"}]
        handler.resolve_ref_schema(schema)["properties"]["overrides"] |= {
            "description": f"Values that differ {by}.",
            "propertyNames": {"anyOf": names},
            "additionalProperties": {"type": "object", "additionalProperties": False, "properties": values},
        }
        return schema


def _over(own: Mapping[str, Any], override: Mapping[str, Any]) -> dict[str, Any]:
    """Return values with those of an override in their place; a length replaces the other kind of length."""
    lengths = {"epochs", "steps"}
    none = dict.fromkeys(lengths) if lengths & override.keys() and lengths <= own.keys() else {}
    return {**own, **none, **override}
