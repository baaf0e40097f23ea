"""Running a command that may hang, so that it and all that it started end with the test."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil
import pytest


def run(
    *command: str, cwd: Path, env: Mapping[str, str], timeout: float, cleanup: Sequence[str] = ()
) -> subprocess.CompletedProcess:
    """Return the finished process, its output and errors together in `stdout`.

    At the timeout the test fails. Then, and when the test is interrupted, the command's whole process group is killed
    and `cleanup` is run.
    """
    process = subprocess.Popen(
        command,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=timeout)
    except BaseException as error:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        if cleanup:
            subprocess.run(cleanup, env=env, timeout=30)
        if isinstance(error, subprocess.TimeoutExpired):
            pytest.fail(f"{' '.join(command)}\nnot done after {timeout:g} s:\n{output[-4000:]}")
        raise
    return subprocess.CompletedProcess(command, process.returncode, output)


def bearing(mark: str) -> list[psutil.Process]:
    """Return the live processes in whose environment MARK is this: all that came of one, whatever became of it."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("MARK") == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def wait_for(condition: Callable[[], object], seconds: float = 60) -> None:
    """Wait until something is so; fail when it takes too long."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"waited {seconds:g} s in vain")
        time.sleep(0.02)
