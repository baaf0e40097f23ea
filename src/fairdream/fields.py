"""Types of configuration values that need a check of their own."""

from __future__ import annotations

import re
import string
from typing import Annotated

from pydantic import AfterValidator


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


def _usable(folder: str) -> str:
    """Refuse a folder that Snakemake would read as a pattern, or the system not as it is meant."""
    if not folder.strip() or re.search(r"[{}\x00-\x1f]", folder) or folder.startswith("~"):
        raise ValueError("a folder needs a name, without braces and line breaks, and the whole path instead of ~")
    return folder


Folder = Annotated[str, AfterValidator(_usable)]
