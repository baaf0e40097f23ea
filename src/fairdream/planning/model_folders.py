"""Folders of models of one's own that cannot be what they are said to be; no model is read.

Whether a model is whole is `fetch_model`'s to say: it may be copied there after the plan.
"""

from __future__ import annotations

from pathlib import Path

from fairdream.config.root import Config
from fairdream.errors import UserError
from fairdream.models.model_layout import CHECKS

ENTRIES = {"diffusion": "model_index.json", "clip": "open_clip_config.json"}


def check(config: Config) -> None:
    """Refuse the root folder of a hub's cache, whose model lies below it, and weights fetched into a model's folder.

    Raises
    ------
    UserError
        Names the folder, and for a cache the one to give instead.
    """
    own = {}
    if config.models.diffusion.is_local:
        own["diffusion"] = config.models.diffusion_folder
    if config.models.clip.name.startswith("local-dir:"):
        own["clip"] = Path(config.models.clip.name.removeprefix("local-dir:"))
    fetched = Path(config.models.folder)
    for role, path in own.items():
        if not (path / ENTRIES[role]).is_file() and any(path.glob(f"snapshots/*/{ENTRIES[role]}")):
            CHECKS[role](path)  # names the folder below
        if path.is_dir() and fetched.resolve().is_relative_to(path.resolve()):
            raise UserError(
                f"models.folder: {fetched} is inside the model's own folder {path}; name another one, for what is "
                "written there would be taken for a part of the model"
            )
