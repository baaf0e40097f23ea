"""The manifest of a model's files, and where they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fairdream.errors import UserError


def model_path(manifest: str) -> str:
    """Return the folder that a model's manifest speaks of."""
    return _read(manifest)["path"]


def model_identity(manifest: str) -> Any:
    """Return what makes the model this model: the hashes of its files, wherever they lie."""
    return _read(manifest)["files"]


def _read(manifest: str) -> dict[str, Any]:
    content = json.loads(Path(manifest).read_text(encoding="utf-8"))
    if not Path(content["path"]).exists():
        raise UserError(f"{content['path']}: the model of {manifest} is gone; delete that file to fetch it again")
    return content
