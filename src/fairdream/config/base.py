"""What the sections of the configuration are made of: their base, and types of values with their bounds.

Numbers are strict: YAML reads ``1e-4`` as text and ``1.0e-4`` as a number.
"""

from __future__ import annotations

import re
import string
from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

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
    """A section whose values can differ for a method or a recipe; the values themselves are the model `BASE`."""

    BASE: ClassVar[type[Section]]
    overrides: dict[str, dict[str, Any]]

    @model_validator(mode="after")
    def _overrides_fit(self) -> Self:
        self.of("")  # what is wrong without an override is told without one
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
