"""Whether the data sets that a run reads are there, told for all of them at once."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from fairdream.config.root import Config
from fairdream.data import manifest
from fairdream.errors import UserError


def check(config: Config, to_read: Iterable[str] | None = None) -> None:
    """Name what is missing of the data sets that jobs are going to read; else of all that were never read.

    Parameters
    ----------
    to_read
        Names of data sets; ``None``: all, but what was read from its folder before stands without it.

    Raises
    ------
    UserError
        Names each folder, table or split that is not there, and where the data set is to be had.
    """
    missing = []
    for name in config.datasets if to_read is None else to_read:
        missing += _files(config, name, was_enough=to_read is None)
    if missing:
        raise UserError(
            "These data sets are missing:\n"
            + "\n".join(f"  {line}" for line in missing)
            + "\nPut each into the folder named (datasets.*.folder in the configuration), or remove it from the "
            "configuration, with its overrides.\n"
            "For data of your own, name their configuration: --configfile=config/NAME.yaml.\n"
            "Without any data: `make demo` runs the whole workflow on embedded data."
        )


def _files(config: Config, name: str, was_enough: bool) -> list[str]:
    """Return a line for all that is absent of a data set, and one for each of its own splits."""
    dataset, lines = config.datasets[name], []
    absent = [] if name == "waterdigits" else manifest.missing_data(dataset)  # the demo's is made by a rule
    index = Path(config.results, name, "index.parquet")
    if absent and not (was_enough and manifest.was_read(index, dataset)):
        lines.append(f"{name}: {', '.join(absent)} not found. Get it: {dataset.origin.strip()}")
    for own in dataset.splits:
        if Path(dataset.folder).is_dir() and not Path(dataset.folder, own.file).is_file():
            lines.append(f"{name}: {dataset.folder}/{own.file}, its own split at {own.bias}, not found")
    return lines
