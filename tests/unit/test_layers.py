"""The packages: each imports only what stands before it, and no module or function is too long to be read at once."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "src/fairdream"
# From the ground up. What lies in no package is everyone's; `__main__` hands over to `cli`.
ORDER = (
    "",
    "config",
    "runtime",
    "models",
    "data",
    "diffusion",
    "curation",
    "classification",
    "reporting",
    "planning",
    "cli",
)
# Three wings: what one of them makes, the next one reads from the disk.
WINGS = {"diffusion", "curation", "classification"}
MODULES = sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def package_of(module: str) -> str:
    """Return the package that a dotted name below `fairdream` lies in."""
    first = module.split(".")[0]
    return first if (PACKAGE / first).is_dir() else ""


def imports(path: Path) -> set[str]:
    """Return the modules of fairdream that a module imports, also in functions and for types, below `fairdream`."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name.removeprefix("fairdream.") for name in found if name.startswith("fairdream.")}


def test_every_package_has_its_place():
    there = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()}
    assert there == set(ORDER[1:]) | {"demo"}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_imports_only_what_stands_before_it(path):
    own = package_of(".".join(path.relative_to(PACKAGE).with_suffix("").parts))
    if path == PACKAGE / "__main__.py":
        assert {package_of(name) for name in imports(path)} == {"cli"}
        return
    for name in imports(path):
        other = package_of(name)
        if own == "demo":
            continue  # beside the others: a data set and models of its own, made with all of them
        assert other != "demo", f"{name_of(path)}: {name}"
        assert ORDER.index(other) <= ORDER.index(own), f"{name_of(path)}: {name}"
        assert not ({own, other} <= WINGS and own != other), f"{name_of(path)}: {name}"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_module_is_over_300_lines_and_no_function_over_60(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 300
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno - node.lineno < 60, node.name
