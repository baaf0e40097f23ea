"""How the rules ask the plan: each function gets the configuration and those of a job's wildcards that it takes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any


def ask(function: Callable[..., Any], config: Any, wildcards: Mapping[str, str]) -> Any:
    """Return what a function says for the configuration, its first argument, and the wildcards that it has names for.

    A function with ``**names`` takes all wildcards.
    """
    names = _names(function)
    given = wildcards if names is None else {name: wildcards[name] for name in names}
    return function(config, **given)


@cache
def _names(function: Callable[..., Any]) -> tuple[str, ...] | None:
    """Return the wildcards that a function takes; ``None``: all."""
    _, *parameters = inspect.signature(function).parameters.values()  # the first is the configuration
    every = any(own.kind is inspect.Parameter.VAR_KEYWORD for own in parameters)
    return None if every else tuple(own.name for own in parameters)
