"""Repairs of Snakemake and of its SLURM executor, each made for the very functions that it was written for.

A repair replaces functions of another project. Where one of these reads otherwise than when the repair was written, the
fault may be mended, or the replacement wrong: the repair is then left out, and the log says which one.
docs/architecture.md has a table of the faults.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from importlib.util import find_spec
from operator import attrgetter
from typing import Any

MODULES = ("fairdream.runtime.snakemake_patches", "fairdream.runtime.shutdown", "fairdream.runtime.slurm_submission")
REPAIRS: dict[str, Callable[[], bool]] = {}


def repair(name: str, written_for: Mapping[str, str]) -> Callable[[Callable[[], None]], Callable[[], bool]]:
    """Have what mends a fault look first at what it replaces; it then tells whether it mended.

    Parameters
    ----------
    name
        What the log and the table of faults call it.
    written_for
        ``module:Class.method`` -> the digest of its source.
    """

    def decorate(mend: Callable[[], None]) -> Callable[[], bool]:
        @wraps(mend)
        def look_and_mend() -> bool:
            if not all(find_spec(path.partition(".")[0].partition(":")[0]) for path in written_for):
                return True  # what is not installed has no fault
            found = {path: _find(path) for path in written_for}
            # what this project has put there is mended already
            if any(getattr(function, "__module__", "").startswith("fairdream.") for function in found.values()):
                return True
            other = [path for path, function in found.items() if digest_of(function) != written_for[path]]
            if not other:
                mend()
                return True
            from snakemake.logging import logger

            logger.warning(
                f"The repair of {name} is left out: {', '.join(other)} is another than it was written for. "
                "docs/architecture.md says what it fixes; with the versions of requirements.lock it is made."
            )
            return False

        REPAIRS[name] = look_and_mend
        return look_and_mend

    return decorate


def digest_of(function: Any) -> str:
    """Return a digest of a function's source; nothing where there is none."""
    try:
        return hashlib.sha256(inspect.getsource(function).encode()).hexdigest()[:16]
    except (OSError, TypeError):
        return ""


def make() -> None:
    """Make all repairs in this process."""
    for module in MODULES:
        importlib.import_module(module)
    for mend in REPAIRS.values():
        mend()


def _find(path: str) -> Any:
    import snakemake.api  # noqa: F401 - first: its modules import each other

    module, _, name = path.partition(":")
    try:
        return attrgetter(name)(importlib.import_module(module))
    except (ImportError, AttributeError):
        return None
