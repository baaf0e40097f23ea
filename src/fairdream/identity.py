"""Names for "the same computation": seeds from names, digests of values, and digests of code.

Snakemake tracks a script by its time stamp and never follows imports. `code_digest` is what the rules hand it instead:
it changes when the code that a script runs changes, and not when a comment, a docstring or another stage does.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

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

# Modules that decide how a job is run and never what comes out. The values that a job reads of the configuration are
# its params already: a key added for another stage must not re-train an adapter, nor must a release's new number.
CONFIG_MODULES = {"config", "dataset", "fields", "settings"}
NEUTRAL_MODULES = CONFIG_MODULES | {"__init__", "errors", "files", "job", "planned", "prefetch", "warm"}


def seed_of(*names: object) -> int:
    """Return a 63-bit seed that depends on the names alone, never on time, order or pool."""
    return int.from_bytes(hashlib.sha256(repr(names).encode()).digest()[:8], "big") >> 1


def digest(value: Any) -> str:
    """Return the SHA-256 of a JSON-able value; the order of keys does not matter."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def file_digest(path: str | Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def code_digest(script: Path, package: Path, lock: Path) -> str:
    """Return a digest of all code that a script runs.

    Parameters
    ----------
    script
        The script of a rule.
    package
        Folder of the `fairdream` package; its modules are followed through their imports.
    lock
        `requirements.lock`: gives the versions of the `RESULT_LIBRARIES` that are imported on the way.
    """
    trees, libraries = _closure(script, package)
    versions = locked_versions(lock)
    pins = {name: versions[RESULT_LIBRARIES[name]] for name in libraries}
    # by content alone: the same code in another folder is the same code
    return digest([sorted(trees.values()), pins])


def code_files(script: Path, package: Path) -> dict[str, str]:
    """Return a digest for each file that a script runs: the script itself and the modules, by path."""
    return {str(path): digest(tree) for path, tree in _closure(script, package)[0].items()}


def locked_versions(lock: Path) -> dict[str, str]:
    """Return the locked version of each library that decides results."""
    versions = _lock_versions(lock, lock.stat().st_mtime_ns)
    return {name: versions.get(name, "unpinned") for name in RESULT_LIBRARIES.values()}


def _closure(script: Path, package: Path) -> tuple[dict[Path, str], set[str]]:
    """Return the syntax trees of a script and of the modules it imports, and the result libraries on the way."""
    trees: dict[Path, str] = {}
    libraries: set[str] = set()
    queue = [script]
    while queue:
        path = queue.pop()
        if path in trees:
            continue
        trees[path], imports = _parse(path, path.stat().st_mtime_ns)
        for name in imports:
            root = name.split(".")[0]
            if root == package.name:
                queue += _module_files(name, package)
            elif root in RESULT_LIBRARIES:
                libraries.add(root)
    return trees, libraries


@cache
def _parse(path: Path, mtime: int) -> tuple[str, tuple[str, ...]]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imports = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imports += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            imports += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and _docstring(node):
            node.body = node.body[1:] or [ast.Pass()]
    return ast.dump(tree), tuple(imports)


def _docstring(node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    first = node.body[0] if node.body else None
    return isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)


def _module_files(name: str, package: Path) -> list[Path]:
    path = package.parent.joinpath(*name.split("."))
    files = [p for p in (path.with_suffix(".py"), path / "__init__.py") if p.is_file()]
    return [p for p in files if p.parent != package or p.stem not in NEUTRAL_MODULES]


@cache
def _lock_versions(lock: Path, mtime: int) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", lock.read_text(encoding="utf-8"), re.M))
