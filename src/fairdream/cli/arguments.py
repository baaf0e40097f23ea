"""What the commands have in common: the words and options that name a run, and the order in which they are listed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click


class InOrder(click.Group):
    """Lists the commands in the order in which they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names as they were added."""
        return list(self.commands)


def of_a_run(targets: bool) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the words and options that name a run, in the same words everywhere."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        metavar = "[RUN] [TARGET]..." if targets else "[RUN]"
        options = [
            click.option(
                "--configfile",
                "configfiles",
                multiple=True,
                type=click.Path(),
                metavar="FILE",
                help="A configuration file in place of RUN, or over it; later ones overlay earlier ones.",
            ),
            click.option(
                "--profile",
                type=click.Path(),
                metavar="FOLDER",
                help="Snakemake's profile. By default profiles/demo for the demo and trials; else profiles/slurm, if "
                "you edited it and SLURM answers; else profiles/local.",
            ),
            click.argument("words", nargs=-1, metavar=metavar, shell_complete=complete_runs),
        ]
        for option in options:
            command = option(command)
        return command

    return decorate


def complete_runs(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return the runs that begin so: for the shell's completion."""
    own = sorted(path.stem for path in Path("config").glob("*.yaml"))
    return [name for name in dict.fromkeys(["demo", "paper", *own]) if name.startswith(incomplete)]
