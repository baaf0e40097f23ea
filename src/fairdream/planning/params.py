"""What each job reads of the configuration: plain values, resolved for its data set, bias and method.

These dictionaries are the rules' params, so they decide what reruns: a value that a job does not use must not be in
its dictionary, and every value that changes its result must be. Their keys are sorted, because Snakemake compares text.
"""

from __future__ import annotations

import inspect
from typing import Any

from fairdream.config.root import Config
from fairdream.planning import report_params, stage_params
from fairdream.planning.wildcards import ask

# By stage: the functions of two modules that a stage's values come from.
STAGES = {
    name: function
    for module in (stage_params, report_params)
    for name, function in inspect.getmembers(module, inspect.isfunction)
    if function.__module__ == module.__name__
}


def read_by(config: Config, stage: str, wildcards: dict[str, str]) -> dict[str, Any]:
    """Return what a job of a stage reads.

    Parameters
    ----------
    stage
        One of `STAGES`.
    wildcards
        The job's; the function takes those that it has parameters for.
    """
    return as_params(ask(STAGES[stage], config, wildcards))


def as_params(values: Any) -> Any:
    """Return the values with the keys of every dictionary sorted, so that their order in the file says nothing."""
    if isinstance(values, dict):
        return {key: as_params(values[key]) for key in sorted(values)}
    return [as_params(value) for value in values] if isinstance(values, list) else values
