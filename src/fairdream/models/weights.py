"""The base model: the manifest of its files, where they are, and loading it without chatter."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fairdream.errors import UserError

# The safety checker blacks images out without a word; generation has checks of its own. SDXL has none and ignores this.
NO_CHECKER = {"safety_checker": None, "requires_safety_checker": False}


def model_path(manifest: str) -> str:
    """Return the folder that a model's manifest speaks of."""
    return _read(manifest)["path"]


def model_identity(manifest: str) -> Any:
    """Return what makes the model this model: the hashes of its files, wherever they lie."""
    return _read(manifest)["files"]


def check_files(manifest: str) -> None:
    """Look at each file of a model, without reading it.

    Raises
    ------
    UserError
        When one is gone, as on a scratch file system that removes what is old.
    """
    content = _read(manifest)
    folder = Path(content["path"])
    gone = [name for name in content["files"] if not (folder / name if folder.is_dir() else folder).is_file()]
    if gone:
        raise UserError(
            f"{folder}: {len(gone)} file(s) of the model of {manifest} are gone, first {gone[0]}; delete that file to "
            "fetch it again"
        )


def load_quietly() -> None:
    """Keep diffusers' and transformers' loading bars and hints out of the logs; errors still show."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    for library in (diffusers_logging, transformers_logging):
        library.disable_progress_bar()
        library.set_verbosity_error()


def _read(manifest: str) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(Path(manifest).read_text(encoding="utf-8"))
        if not (isinstance(content["path"], str) and isinstance(content["files"], dict)):
            raise TypeError("no path with files")
    except (ValueError, LookupError, TypeError) as error:
        raise UserError(f"{manifest}: damaged ({error}); delete it and start again, it is recreated") from None
    if not Path(content["path"]).exists():
        raise UserError(f"{content['path']}: the model of {manifest} is gone; delete that file to fetch it again")
    return content
