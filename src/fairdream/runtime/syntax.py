"""What the source of a module says, however it is written: its syntax tree, and apart from it what it imports."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import groupby
from typing import Any, NamedTuple

from fairdream.identity import digest

DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


class Name(NamedTuple):
    """A name that an import binds: the local one, the module, and what it is called there (empty: the module)."""

    local: str
    module: str
    original: str


class Source(NamedTuple):
    """A module without comments, docstrings and formatting.

    Attributes
    ----------
    tree
        A digest of the syntax tree, in which a mark stands for statements that import from the package.
    imports
        What is imported at each mark, sorted by local name.
    libraries
        Top-level names of everything else that is imported.
    """

    tree: str
    imports: list[list[Name]]
    libraries: set[str]


def read(text: str, package: str) -> Source:
    """Read a module's source, setting apart its imports from a package."""
    tree = ast.parse(text)
    imports: list[list[Name]] = []
    libraries: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
        elif isinstance(node, ast.JoinedStr):  # Python 3.12 ends some formats in an empty string
            node.values = [own for own in node.values if not (isinstance(own, ast.Constant) and own.value == "")]
        for field, value in ast.iter_fields(node):
            if isinstance(value, list) and value and isinstance(value[0], ast.stmt):
                setattr(node, field, _with_marks(value, package, imports))
        libraries |= {_top(name) for name in _names(node)}
    return Source(digest(_plain(tree)), imports, libraries - {package})


def _with_marks(block: list[ast.stmt], package: str, imports: list[list[Name]]) -> list[ast.stmt]:
    """Return the statements of a block, with one mark for those in a row that import from the package.

    Their order says nothing, so a moved module may stand elsewhere among them. Where the block does, and which one it
    is, says much: two functions may import each its own `helper`.
    """
    marked: list[ast.stmt] = []
    for own, statements in groupby(block, lambda statement: package in map(_top, _names(statement))):
        if own:
            names = [name for statement in statements for name in _names(statement)]
            imports.append(sorted(names, key=lambda name: name.local))
            marked.append(ast.Import(names=[]))  # no source can say this
        else:
            marked += statements
    return marked


def _names(node: ast.AST) -> Iterator[Name]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield Name(alias.asname or alias.name, alias.name, "")
    elif isinstance(node, ast.ImportFrom) and node.module:
        for alias in node.names:
            yield Name(alias.asname or alias.name, node.module, alias.name)


def _top(name: Name) -> str:
    return name.module.split(".")[0]


def _plain(value: Any) -> Any:
    """Return a syntax tree as lists, without empty fields: in which ones there are, versions of Python differ."""
    if isinstance(value, ast.AST):
        fields = [[name, _plain(own)] for name, own in ast.iter_fields(value) if own not in (None, [])]
        return [type(value).__name__, *fields]
    return [_plain(own) for own in value] if isinstance(value, list) else repr(value)
