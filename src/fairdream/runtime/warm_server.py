"""A warm server: pays for the imports of torch, diffusers and the like once a run, not once a job.

``python -m fairdream.runtime.warm_server COMMAND...`` runs the command (Snakemake) and, while it runs, answers its
jobs. The first job that asks makes the server import the heavy libraries; each job is then a fork of it, about a
hundredth of a second instead of four to fifteen. Only third-party libraries are imported before the fork, so an edited
stage is always read anew. Without the server every job runs in its own process, with the same results.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Client, Connection, Listener
from typing import Any

from fairdream.runtime import shutdown

ADDRESS = "FAIRDREAM_WARM"
PATIENCE = 1.0  # seconds for the server to end its jobs
# Submodules too: diffusers and transformers load their classes on first use.
LIBRARIES = (
    "numpy",
    "pandas",
    "pyarrow.parquet",
    "sklearn.cluster",
    "torch",
    "torchvision.transforms.v2",
    "open_clip",
    "accelerate",
    "peft",
    "diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion",
)


def request(
    address: str,
    call: Callable[..., int],
    function: Callable[..., None],
    log: str,
    threads: int,
    arguments: dict[str, Any],
) -> int:
    """Have the server at `address` call a job; return its exit status, 1 when the server or the job died.

    It does `call(function, log, threads, arguments)`, both of which it imports by their names.

    A signal that asks this process to end asks the job: a training then saves what it has.
    """
    with Client(address, family="AF_UNIX") as connection:
        names = [(own.__module__, own.__qualname__) for own in (call, function)]
        connection.send((names, log, threads, arguments, os.getcwd(), sys.path))

        def pass_on(*_: object) -> None:
            with contextlib.suppress(OSError):  # it has just ended
                connection.send(signal.SIGTERM)

        try:
            connection.recv()  # the job begins; until then, while the server imports, a signal ends this process
            for number in shutdown.SIGNALS:
                if signal.getsignal(number) != signal.SIG_IGN:
                    signal.signal(number, pass_on)
            return connection.recv()
        except EOFError:
            print(f"the job's process died; its log is {log}", file=sys.stderr)
            return 1


def main(command: list[str]) -> int:
    """Run a command with a warm server beside it and return the command's exit status."""
    # a folder that only this user can enter: who can connect can run code
    with tempfile.TemporaryDirectory(prefix="fairdream-") as folder:
        address = os.path.join(folder, "socket")
        # the listener stays open here too: closing it would remove the socket
        with Listener(address, family="AF_UNIX", backlog=64) as listener:
            server = os.fork()
            if server == 0:
                _serve(listener)
            try:
                # who ends this process means the command, which ends in order
                status = shutdown.run(command, env={**os.environ, ADDRESS: address}).returncode
            finally:
                _end(server)
    return 128 - status if status < 0 else status


def _end(server: int) -> None:
    """End the server: with its jobs where it can, in the middle of an import where it must."""
    os.kill(server, signal.SIGTERM)
    deadline = time.monotonic() + PATIENCE
    while os.waitpid(server, os.WNOHANG)[0] == 0:
        if time.monotonic() > deadline:
            os.kill(server, signal.SIGKILL)
        time.sleep(0.01)


def _serve(listener: Listener) -> None:
    children: set[int] = set()

    def stop(*_: object) -> None:
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        os._exit(0)

    def reap(*_: object) -> None:
        for child in list(children):
            with contextlib.suppress(ChildProcessError):
                if os.waitpid(child, os.WNOHANG)[0]:
                    children.discard(child)

    def orphaned(*_: object) -> None:
        if os.getppid() != parent:
            stop()

    # a parent that was killed cannot end its server; forks do not inherit the timer
    parent = os.getppid()
    signal.signal(signal.SIGALRM, orphaned)
    signal.setitimer(signal.ITIMER_REAL, 1, 1)
    signal.signal(signal.SIGTERM, stop)
    # a terminal sends these to all; the command tells a job that is to end
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, reap)
    loaded = False
    while True:
        connection = listener.accept()
        if not loaded:
            for name in LIBRARIES:
                importlib.import_module(name)
            loaded = True
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            _answer(connection)
        children.add(child)
        connection.close()


def _answer(connection: Connection) -> None:
    status = 1
    try:
        names, log, threads, arguments, folder, path = connection.recv()
        connection.send("begun")

        def watch() -> None:
            # all that the asking process still sends is a signal; nothing more to read means that it was killed
            with contextlib.suppress(EOFError, OSError):
                while True:
                    os.kill(os.getpid(), connection.recv())
            os._exit(1)

        threading.Thread(target=watch, daemon=True).start()
        os.chdir(folder)
        sys.path[:] = path
        call, function = (getattr(importlib.import_module(module), name) for module, name in names)
        status = call(function, log, threads, arguments)
        connection.send(status)
    finally:
        os._exit(status)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
