"""Digests of code: what the rules hand to Snakemake, which tracks a script by its time stamp and follows no imports.

The digest of a script changes when the code that it runs changes, and not when a comment, a docstring, another stage or
the place of a module does.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from fairdream.identity import digest
from fairdream.runtime import syntax

# Import name -> distribution, for the libraries whose version decides a result. Readers and writers of files,
# progress bars and the like are left out: an upgrade of pandas must not re-train an adapter.
RESULT_LIBRARIES = {
    "accelerate": "accelerate",
    "diffusers": "diffusers",
    "open_clip": "open-clip-torch",
    "peft": "peft",
    "sklearn": "scikit-learn",
    "torch": "torch",
    "torchvision": "torchvision",
    "transformers": "transformers",
}

# What decides how a job is run and never what comes out: modules of the package, or packages in it with all that they
# hold. The values that a job reads of the configuration are its params already: a key added for another stage must not
# re-train an adapter, nor must a release's new number.
NEUTRAL = {"config", "runtime", "errors", "__init__"}


def code_digest(script: Path, package: Path, lock: Path) -> str:
    """Return a digest of all code that a script runs.

    The script and the modules that it reaches are numbered as they are met, and each is its syntax tree without the
    statements that import from the package. In their place stands, for each imported name, the local name, the original
    one and the number of the module that it comes from. So a module may move and its importers follow, but a helper
    that is exchanged for another one of the same name is seen.

    Parameters
    ----------
    script
        The script of a rule.
    package
        Folder of the `fairdream` package; its modules are followed through their imports.
    lock
        `requirements.lock`: gives the versions of the `RESULT_LIBRARIES` that are imported on the way.
    """
    sources = _reached(script, package)
    number = {path: position for position, path in enumerate(sources)}

    def told(name: syntax.Name) -> tuple[str, str, int | None]:
        original, path = _origin(name, package)
        return name.local, original, number.get(path) if path else None

    code = [[own.tree, [[told(name) for name in names] for names in own.imports]] for own in sources.values()]
    versions = locked_versions(lock)
    libraries = set().union(*(own.libraries for own in sources.values())) & RESULT_LIBRARIES.keys()
    return digest([code, {name: versions[RESULT_LIBRARIES[name]] for name in libraries}])


def code_files(script: Path, package: Path) -> dict[str, str]:
    """Return a digest for each file that a script runs, by path: of its own code, with its imports as they are."""
    return {str(path): digest([own.tree, own.imports]) for path, own in _reached(script, package).items()}


def is_neutral(module: Path, package: Path) -> bool:
    """Tell whether a module of the package, or the package in it that holds the module, is one of `NEUTRAL`."""
    return module.relative_to(package).with_suffix("").parts[0] in NEUTRAL


def locked_versions(lock: Path) -> dict[str, str]:
    """Return the locked version of each library that decides results."""
    versions = _lock_versions(lock, lock.stat().st_mtime_ns)
    return {name: versions.get(name, "unpinned") for name in RESULT_LIBRARIES.values()}


def _reached(script: Path, package: Path) -> dict[Path, syntax.Source]:
    """Return a script and the modules that it imports, directly or not, in the order in which their names are met."""
    found: dict[Path, syntax.Source] = {}
    queue = [script]
    for path in queue:  # which grows meanwhile
        if path not in found:
            found[path] = _read(path, path.stat().st_mtime_ns, package.name)
            origins = [_origin(name, package)[1] for names in found[path].imports for name in names]
            queue += [origin for origin in origins if origin]
    return found


def _origin(name: syntax.Name, package: Path) -> tuple[str, Path | None]:
    """Return what a name is called where it comes from, and the file; no file where that decides no result.

    A module has no name in its own code, so what another one calls it is its local name alone.
    """
    if name.module.split(".")[0] != package.name:  # which shares a statement with one of the package
        return f"{name.module}.{name.original}", None
    module = _file(f"{name.module}.{name.original}", package) if name.original else None
    original, path = ("", module) if module else (name.original, _file(name.module, package))
    return original, None if path and is_neutral(path, package) else path


def _file(module: str, package: Path) -> Path | None:
    """Return the file of a module of the package, given as ``fairdream.NAME``."""
    path = package.parent.joinpath(*module.split("."))
    return next((own for own in (path.with_suffix(".py"), path / "__init__.py") if own.is_file()), None)


@cache
def _read(path: Path, mtime: int, package: str) -> syntax.Source:
    return syntax.read(path.read_text(encoding="utf-8"), package)


@cache
def _lock_versions(lock: Path, mtime: int) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", lock.read_text(encoding="utf-8"), re.M))
