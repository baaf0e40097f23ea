"""What is given with Snakemake's ``--config``, as a configuration file would have it.

Snakemake (9.27.1, `parse_config`) hands over a number, True or False that is a key's whole value as such, and all that
stands in a list or a section as text, whatever was in quotes. A file has types; these are what the file would have.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

Location = tuple[int | str, ...]


def read(model: type[BaseModel], values: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the command line gives, with the types that the same words have in a file.

    A word is what YAML reads without quotes; where the configuration takes nothing but text there, it is text.

    Parameters
    ----------
    model
        The configuration's type.
    values
        The whole configuration, with what is given in its place.
    given
        Snakemake's reading of ``--config``.
    """
    found: dict[str, Any] = _as_yaml(given)
    while found != given:
        try:
            model.model_validate(_over(values, found))
            break
        except ValidationError as error:
            wanted = [detail["loc"] for detail in error.errors() if detail["type"] == "string_type"]
            if not any([_make_text(found, given, loc) for loc in wanted]):
                break  # what is wrong beside that is told when the configuration is validated
    return found


def is_given(given: Mapping[str, Any], detail: Mapping[str, Any]) -> bool:
    """Tell whether a detail of a `ValidationError` is about what the command line gives."""
    *loc, last = detail["loc"] or ("",)
    if detail["type"] == "missing":
        section, _ = _follow(given, tuple(loc))
        whole = isinstance(section, Mapping) and section.keys() == detail["input"].keys()
        return whole and section is not given  # no file has a key of this section
    here, rest = _follow(given, detail["loc"] if last != "[key]" else tuple(loc))
    # behind a value stands pydantic's name for the branch of a union
    return here is not given and not (rest and isinstance(here, Mapping | list))


def _as_yaml(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _as_yaml(own) for key, own in value.items()}
    if isinstance(value, list):
        return [_as_yaml(own) for own in value]
    if not isinstance(value, str) or not value:
        return value
    try:
        plain = yaml.safe_load(value)
    except yaml.YAMLError:
        return value
    if isinstance(plain, int) and not isinstance(plain, bool):
        return plain if str(plain) == value else value  # 01 is the name of a class rather than the number one
    return plain if plain is None or isinstance(plain, bool | float) else value


def _over(values: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    from snakemake.utils import update_config

    result = copy.deepcopy(dict(values))
    update_config(result, found)
    return result


def _follow(tree: Any, loc: Location) -> tuple[Any, Location]:
    """Return what a location leads to, and what is left of it where it leads no further."""
    for number, part in enumerate(loc):
        inside = tree if isinstance(tree, Mapping) else range(len(tree)) if isinstance(tree, list) else ()
        if part not in inside:
            return tree, loc[number:]
        tree = tree[part]
    return tree, ()


def _make_text(found: dict[str, Any], given: Mapping[str, Any], loc: Location) -> bool:
    """Put a word that was read as something else back as it was given, and tell whether there is one."""
    text, rest = _follow(given, loc)
    *path, last = loc[: len(loc) - len(rest)] or ("",)
    section, _ = _follow(found, tuple(path))
    if not isinstance(text, str) or isinstance(section[last], str):
        return False
    section[last] = text
    return True
