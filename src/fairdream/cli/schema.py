"""The JSON schema of the configuration, for editors: ``fairdream schema`` writes `config/schema.json`.

It is generated from the models of `fairdream.config`, so a key is described in one place. It says less than they do:
what depends on several values (groups and their counts, a hub id without a revision) only a run or a dry run checks.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fairdream.config.root import Config
from fairdream.runtime.files import write_if_changed

PATH = Path(__file__).parents[3] / "config/schema.json"


def config_schema() -> dict[str, Any]:
    """Return the JSON schema (draft 2020-12) of a configuration file."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Config.model_json_schema()}


def as_text() -> str:
    """Return the schema as it stands in the file."""
    return json.dumps(config_schema(), indent=2, ensure_ascii=False) + "\n"


def write() -> str:
    """Write the file and return what became of it."""
    return f"{PATH}: {'written' if write_if_changed(PATH, as_text()) else 'already up to date'}"
