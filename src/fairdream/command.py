"""Snakemake in this process, for the commands that go on with what it found: `make audit`, `plan` and `report`."""

from __future__ import annotations

from pathlib import Path

from fairdream.errors import UserError


def snakemake(arguments: list[str]) -> None:
    """Run Snakemake with arguments of its command line; end this process when it fails.

    Raises
    ------
    UserError
        When a configuration named with ``--configfile=`` is not there, for which Snakemake has a traceback.
    """
    from snakemake.cli import main

    for word in arguments:
        option, _, path = word.partition("=")
        if option == "--configfile" and not Path(path).is_file():
            raise UserError(f"{path}: cannot read the configuration: no such file (CONFIG={path})")
    try:
        main(arguments)
    except SystemExit as error:
        if error.code:
            raise
