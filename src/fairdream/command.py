"""Snakemake in this process, for the commands that go on with what it found: `make audit`, `plan` and `report`."""

from __future__ import annotations

from fairdream.config import load_config


def snakemake(arguments: list[str]) -> None:
    """Run Snakemake with arguments of its command line; end this process when it fails.

    Raises
    ------
    UserError
        When a configuration named with ``--configfile=`` cannot be read or is wrong: Snakemake has a traceback for one
        that is not there, and names no line of one that is no YAML.
    """
    from snakemake.cli import main

    for word in arguments:
        option, _, path = word.partition("=")
        if option == "--configfile":
            load_config(path)
    try:
        main(arguments)
    except SystemExit as error:
        if error.code:
            raise
