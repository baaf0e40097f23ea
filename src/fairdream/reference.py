"""The reference of the configuration: ``python -m fairdream.reference`` writes `docs/config.md`.

It is generated from the same models as `config/schema.json`, with the values of `config.yaml` beside them, so
that a key's type, range and meaning stand in one place.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from fairdream.files import write_if_changed
from fairdream.schema import config_schema

ROOT = Path(__file__).parents[2]
PATH = ROOT / "docs/config.md"
HEAD = """# Configuration reference

<!-- Generated from src/fairdream/config.py by `python -m fairdream.reference`: edit the types. -->

Every key that `config.yaml` can have. A key without a default must be given. Numbers are strict: YAML reads `1e-4` as
text, so write `1.0e-4`. Unknown keys are refused. What an edit runs again is in the README's table; why a value is what
it is, in [methods](methods.md).

The column *paper* is the value in `config.yaml`. A name of your own, such as a data set's, is written `NAME`.
"""


def as_text() -> str:
    """Return the page as it stands in the file."""
    schema = config_schema()
    values = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    parts = [HEAD, "## The top level\n", _table(schema, values, schema["$defs"])]
    for name, own in schema["properties"].items():
        for number, (where, section, value) in enumerate(_sections(name, own, values.get(name), schema["$defs"])):
            level = "###" if number else "##"
            parts.append(f"{level} `{where}`\n\n{' '.join(section.get('description', '').split())}\n")
            parts.append(_table(section, value, schema["$defs"]))
    return "\n".join(parts)


def _sections(
    where: str, own: dict[str, Any], value: Any, defs: dict[str, Any]
) -> Iterator[tuple[str, dict[str, Any], Any]]:
    """Yield the sections at and below a key: where they stand, their schema and the paper's values."""
    for inner in _alternatives(own):
        if "$ref" in inner:
            section = defs[inner["$ref"].rpartition("/")[2]]
            yield where, section, value
            for key, deeper in section["properties"].items():
                below = value.get(key) if isinstance(value, dict) else None
                yield from _sections(f"{where}.{key}", deeper, below, defs)
        elif isinstance(inner.get("items"), dict):
            yield from _sections(f"{where}[]", inner["items"], None, defs)
        elif isinstance(inner.get("additionalProperties"), dict):
            yield from _sections(f"{where}.NAME", inner["additionalProperties"], None, defs)
        # the keys of a named section may be restricted by a pattern
        for deeper in inner.get("patternProperties", {}).values():
            yield from _sections(f"{where}.NAME", deeper, None, defs)


def _table(section: dict[str, Any], values: Any, defs: dict[str, Any]) -> str:
    lines = ["| key | type | default | paper | meaning |", "|---|---|---|---|---|"]
    required = section.get("required", [])
    for key, own in section["properties"].items():
        default = "–" if key in required else _value(own["default"]) if "default" in own else "empty"
        paper = values.get(key) if isinstance(values, dict) else None
        shown = "" if paper is None or isinstance(paper, dict) or _holds_sections(own) else _value(paper)
        text = own.get("description") or _described(own, defs)
        lines.append(f"| `{key}` | {_cell(_type(own, defs))} | {default} | {shown} | {_cell(text)} |")
    return "\n".join(lines) + "\n"


def _described(own: dict[str, Any], defs: dict[str, Any]) -> str:
    """Return the first description of the section that a key holds."""
    named = [defs[inner["$ref"].rpartition("/")[2]] for inner in _alternatives(own) if "$ref" in inner]
    return next((section.get("description", "") for section in named), "")


def _alternatives(own: dict[str, Any]) -> list[dict[str, Any]]:
    return own.get("anyOf", [own])


def _holds_sections(own: dict[str, Any]) -> bool:
    return "$ref" in json.dumps(own)


def _type(own: dict[str, Any], defs: dict[str, Any]) -> str:
    """Return a type in words: its kind and its range."""
    if "anyOf" in own:
        return " or ".join(_type(inner, defs) for inner in own["anyOf"])
    if "$ref" in own:
        return "section"
    if "const" in own:
        return f"`{own['const']}`"
    if "enum" in own:
        return "one of " + ", ".join(f"`{value}`" for value in own["enum"])
    kind = own.get("type")
    if kind == "array":
        least, most = own.get("minItems"), own.get("maxItems")
        few = f", {least} of them" if least and least == most else f", {least} or more" if least else ""
        return f"list of ({_type(own.get('items', {}), defs)}){few}"
    if kind == "object":
        named: Any = own.get("additionalProperties") or next(iter(own.get("patternProperties", {}).values()), {})
        return f"names with: {_type(named, defs) if isinstance(named, dict) else 'any'}"
    words = {
        "integer": "whole number",
        "number": "number",
        "string": "text",
        "boolean": "true or false",
        "null": "null",
    }
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    limits = " and ".join(f"{sign} {own[key]:g}" for key, sign in signs.items() if key in own)
    return f"{words.get(str(kind), 'any')} {limits}".strip()


def _value(value: Any) -> str:
    return f"`{json.dumps(value, ensure_ascii=False)}`".replace("|", "\\|")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    print(f"{PATH}: {'written' if write_if_changed(PATH, as_text()) else 'already up to date'}")
