"""Names of other libraries' things that a configuration asks for, looked up without importing the library.

A misspelt scheduler would otherwise show when all adapters are trained, a misspelt encoder when all images are drawn.
"""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

from fairdream.config.root import Config
from fairdream.errors import UserError


def check_names(config: Config) -> None:
    """Look up the layers that adapters stand on, the scheduler, the encoder and the CLIP model.

    Where a library is not installed (its jobs then run in environments of their own), nothing is checked.

    Raises
    ------
    UserError
        Names the key, the value and what there is.
    """
    scheduler, encoder, clip = config.generate.scheduler, config.models.encoder.name, config.models.clip.name
    layers = {
        name
        for files in ("*.py", "unets/*.py", "transformers/transformer_2d.py")
        for name in _found("diffusers", f"models/{files}", r"^ +self\.(\w+) = ")
    }
    for target in config.finetune.target_modules:
        strange = [part for part in target.split(".") if not part.isdigit() and part not in layers]
        if layers and strange:
            raise UserError(
                f"finetune.target_modules: {target}: diffusers' layers have no {strange[0]}; they have "
                f"{_like(strange[0], layers)}"
            )
    schedulers = set(_found("diffusers", "__init__.py", r'"(\w+Scheduler)"'))
    if schedulers and scheduler not in schedulers:
        raise UserError(f"generate.scheduler: diffusers has no {scheduler}; it has {_like(scheduler, schedulers)}")
    networks = set(_found("torchvision", "models/*.py", r"^def ([a-z]\w+)\("))
    if networks and encoder not in networks | {"small_cnn"}:
        raise UserError(
            f"models.encoder.name: torchvision has no {encoder}; it has {_like(encoder, networks)}; or small_cnn"
        )
    architectures = {path.stem for path in _files("open_clip", "model_configs/*.json")}
    if architectures and not clip.startswith("local-dir:") and clip not in architectures:
        raise UserError(
            f"models.clip.name: open_clip has no {clip}; it has {_like(clip, architectures)}; or local-dir:FOLDER"
        )


def _files(library: str, pattern: str) -> list[Path]:
    spec = find_spec(library)
    return [] if spec is None or spec.origin is None else sorted(Path(spec.origin).parent.glob(pattern))


def _found(library: str, pattern: str, words: str) -> list[str]:
    return [
        name for file in _files(library, pattern) for name in re.findall(words, file.read_text(encoding="utf-8"), re.M)
    ]


def _like(name: str, names: set[str]) -> str:
    """Return the names most like one."""
    from difflib import get_close_matches

    return ", ".join(get_close_matches(name, sorted(names), n=4, cutoff=0.3)) or "others"
