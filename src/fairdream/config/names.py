"""Names that the methods' table knows, as types."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from fairdream.methods import METHODS, RECIPES

if TYPE_CHECKING:  # a type checker knows no names that are read from a table
    MethodName: TypeAlias = str
    RecipeName: TypeAlias = str
else:
    MethodName = Literal[tuple(METHODS)]
    RecipeName = Literal[tuple(RECIPES)]
