"""Snakemake in this process, for the commands that go on with what it found: `fairdream audit`, `plan` and `report`."""

from __future__ import annotations

import contextlib
import io
import sys
from typing import Any

from fairdream.config.root import load_config, read_values


def snakemake(arguments: list[str]) -> None:
    """Run Snakemake with arguments of its command line; end this process when it fails.

    Raises
    ------
    UserError
        When a configuration named with ``--configfile`` cannot be read or is wrong: Snakemake has a traceback for one
        that is not there, and names no line of one that is no YAML.
    """
    from snakemake.cli import main

    files = parsed(arguments).configfile or []
    for path in files:
        # one that overlays another need not have every key
        read_values(path) if len(files) > 1 else load_config(path)
    try:
        main(arguments)
    except SystemExit as error:
        if error.code:
            raise


def parsed(arguments: list[str]) -> Any:
    """Return what Snakemake makes of its arguments and profiles; end this process when they are wrong."""
    from snakemake.cli import parse_args

    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):  # it names the profiles, and will again
            return parse_args(arguments)[1]
    except SystemExit:
        print(said.getvalue(), file=sys.stderr, end="")
        raise
