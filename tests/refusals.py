"""A table of wrong inputs: each is run in a process of its own; its exit status and its message are compared.

The process is a fork, so what a row patches or gives up (the network, root's rights) is back for the next one.
"""

import os
import re
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from fairdream.runtime import job

ROOT = Path(__file__).resolve().parents[1]
ERRORS = ROOT / "docs/errors.md"
NOBODY = 65534


class Case(NamedTuple):
    """A wrong input.

    `words` must stand in the message: the first is what docs/errors.md lists it by, the others are the file, the value
    and so on. `status` is the exit status: 0 where a run goes on and says so.
    """

    name: str
    plant: Callable[[Path], Callable[[], Any]]
    words: tuple[str, ...]
    status: int


class Table(list[Case]):
    """Rows by decorated functions, which plant the input in a folder and return what is run."""

    def add(self, name: str, *words: str, status: int = 1) -> Callable:
        def row(plant: Callable[[Path], Callable[[], Any]]) -> Callable[[Path], Callable[[], Any]]:
            self.append(Case(name, plant, words, status))
            return plant

        return row


def outcome(function: Callable[[], Any], log: Path) -> tuple[int, str]:
    """Run a function as a job runs, in a fork; return its exit status and log.

    A function that returns a number is a command, which gives its own exit status.
    """
    child = os.fork()
    if child == 0:
        status = 70
        signal.signal(signal.SIGALRM, signal.SIG_DFL)  # not pytest's
        signal.alarm(60)
        # past pytest's own capture, into the log
        sys.stdout, sys.stderr = (os.fdopen(number, "w", buffering=1, closefd=False) for number in (1, 2))
        returned = []
        try:
            status = job.call(lambda: returned.append(function()), str(log), 1, {})
        finally:
            os._exit(status or returned[0] or 0)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), log.read_text(encoding="utf-8", errors="replace")


def check(case: Case, folder: Path) -> None:
    """Compare what a wrong input leads to with its row."""
    status, text = outcome(case.plant(folder), folder / "job.log")
    assert "Traceback" not in text, text
    assert status == case.status, text
    for word in case.words:
        assert word in text, text


def give_up_root() -> None:
    """Go on as a user whom permissions bind, for root writes anywhere; for the rest of this process."""
    if os.geteuid() == 0:
        os.seteuid(NOBODY)


def give_up_network() -> None:
    """Find no host from now on, as on a node without a network."""

    def nowhere(*_: Any, **__: Any) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    socket.getaddrinfo = nowhere
    time.sleep = lambda seconds: None  # between a library's attempts


def documented() -> list[str]:
    """Return the messages that docs/errors.md explains: what stands in the first column of its tables."""
    return re.findall(r"^\| `([^`]+)` \|", ERRORS.read_text(encoding="utf-8"), re.MULTILINE)
