"""The schema that editors read is the models' own, accepts the configurations that ship, and describes every key."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import jsonschema
import pytest
import yaml

from fairdream.cli.schema import PATH, as_text, config_schema

ROOT = PATH.parents[1]
SCHEMA = config_schema()
CONFIGS = ["config.yaml", "config/demo.yaml", "tests/workflow/smallest.yaml"]


def read(path: str) -> dict[str, Any]:
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    """Follow a reference; what stands beside it wins."""
    if "$ref" not in schema:
        return schema
    return {**SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]], **schema}


def undescribed(value: Any, schema: dict[str, Any], where: str = "") -> Iterator[str]:
    """Yield the keys of a configuration that the schema says nothing about, at any depth."""
    schema = resolved(schema)
    if isinstance(value, list):
        for item in value:
            yield from undescribed(item, schema.get("items", {}), where)
    if not isinstance(value, dict):
        return
    for key, inner in value.items():
        name = f"{where}.{key}".removeprefix(".")
        if key in schema.get("properties", {}):
            own = resolved(schema["properties"][key])
            if not own.get("description"):
                yield name
        else:  # a name of the user's own, such as a data set's: the values below it are described
            own = schema.get("additionalProperties", {})
            own = own if isinstance(own, dict) else {}
        yield from undescribed(inner, own, name)


def test_the_schema_file_is_the_models_own():
    written = PATH.read_text(encoding="utf-8") if PATH.is_file() else ""
    assert written == as_text(), (
        "config/schema.json differs from the models of src/fairdream/config/root.py. Heal it with\n"
        "    .venv/bin/fairdream schema\n"
        "and commit the file together with the change of the models."
    )


@pytest.mark.parametrize("path", CONFIGS)
def test_the_configurations_that_ship_are_valid(path):
    jsonschema.Draft202012Validator(SCHEMA).validate(read(path))


def test_a_wrong_value_is_invalid():
    wrong = deepcopy(read("config.yaml"))
    wrong["select"]["fraction"] = 1.5
    with pytest.raises(jsonschema.ValidationError, match="maximum"):
        jsonschema.Draft202012Validator(SCHEMA).validate(wrong)


@pytest.mark.parametrize(
    ("key", "values", "wrong"),
    [
        ("gdro@celeba", {"epochs": 3}, None),
        ("celeba", {"flip": True}, None),
        ("gdor@celeba", {"epochs": 3}, "gdor@celeba"),
        ("gdro@celeba", {"epoch": 3}, "epoch"),
        ("gdro@celeba", {"crop_scale": 1.5}, "maximum"),
    ],
)
def test_editors_know_what_an_override_may_say(key, values, wrong):
    raw = deepcopy(read("config.yaml"))
    raw["pretrain"]["overrides"] = {key: values}
    told = [error.message for error in jsonschema.Draft202012Validator(SCHEMA).iter_errors(raw)]
    assert len(told) == (wrong is not None)
    assert wrong is None or wrong in told[0]


@pytest.mark.parametrize("path", CONFIGS)
def test_every_key_is_described(path):
    missing = sorted(set(undescribed(read(path), SCHEMA)))
    assert not missing, f"{path}: give these keys a description in src/fairdream: {', '.join(missing)}"


@pytest.mark.parametrize("path", ["config.yaml", "config/demo.yaml"])
def test_editors_are_told_where_the_schema_is(path):
    first = (ROOT / path).read_text(encoding="utf-8").splitlines()[0]
    named = first.removeprefix("# yaml-language-server: $schema=")
    assert named != first, f"{path}: the first line must name the schema"
    assert (ROOT / path).parent.joinpath(named).resolve() == PATH
