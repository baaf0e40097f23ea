"""What surrounds every job: its log, its threads, its progress bar, and how it fails.

`run` is the one call of each script in `workflow/scripts`. With a warm server (see `warm_server`) the function runs
in a fork of a process that has the heavy libraries loaded already; otherwise it runs here.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from fairdream.errors import UserError
from fairdream.runtime.files import check_whole, remedy

T = TypeVar("T")
LOGGER = logging.getLogger("fairdream")
_terminal: int | None = None  # the terminal's file descriptor, where there is one, for progress bars


def run(function: Callable[..., None], snakemake: Any, **arguments: Any) -> None:
    """Call `function(**arguments)` as a job and end the process with its outcome.

    Parameters
    ----------
    function
        A public function of a stage's module.
    snakemake
        What Snakemake gives a script: names the log, in which everything the job prints goes, and the threads of torch
        and of the linear algebra libraries.
    """
    from fairdream.runtime import run_snapshot, warm_server

    log, threads = snakemake.log[0], snakemake.threads
    # Snakemake runs a copy of the script and leaves its own path here
    script = Path(str(sys.modules["__main__"].__file__))
    root = script.parents[2]
    try:
        run_snapshot.check_code(snakemake.params.code, script, root / "src/fairdream", root / "requirements.lock")
        check_whole(snakemake.input)
    except UserError as error:
        Path(log).parent.mkdir(parents=True, exist_ok=True)
        Path(log).write_text(f"{error}\n", encoding="utf-8")
        sys.exit(1)
    address = os.environ.get(warm_server.ADDRESS)
    if address:
        sys.exit(warm_server.request(address, call, function, log, threads, arguments))
    sys.exit(call(function, log, threads, arguments))


def call(function: Callable[..., None], log: str, threads: int, arguments: dict[str, Any]) -> int:
    """Run a job in this process and return its exit status."""
    global _terminal
    path = Path(log)
    path.parent.mkdir(parents=True, exist_ok=True)
    if os.isatty(2):
        _terminal = os.dup(2)
    with open(path, "w", encoding="utf-8", buffering=1) as file:
        # file descriptors, not sys.stdout: C++ libraries print too
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(message)s", force=True)
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[variable] = str(threads)
    # what the warm server has loaded read its variables long ago
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)
    if "threadpoolctl" in sys.modules:
        sys.modules["threadpoolctl"].threadpool_limits(threads)
    try:
        function(**arguments)
    except UserError as error:
        LOGGER.error("%s", error)
        return 1
    except BaseException as error:
        advice = remedy(error)
        if advice:
            LOGGER.error("%s", advice)
        else:
            traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


@contextmanager
def stop_asked() -> Iterator[Callable[[], bool]]:
    """Turn a signal that asks to end into a question, which a long training asks when it can save what it has.

    SLURM sends SIGTERM ahead of the SIGKILL that ends a job that is cancelled, preempted or out of time, and so does a
    run that is asked to end. A terminal sends SIGINT (Ctrl-C) and SIGHUP to all its processes. What the parent has this
    process ignore stays ignored.
    """
    received: list[int] = []
    asking = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT, signal.SIGHUP)
    signals = [number for number in asking if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, lambda number, _: received.append(number)) for number in signals}
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def progress(items: Sequence[T], what: str) -> Iterator[T]:
    """Pass items through with a progress bar on the terminal, or a line in the log for every tenth of them."""
    from tqdm import tqdm

    if _terminal is not None:
        with open(_terminal, "w", closefd=False) as terminal:
            yield from tqdm(items, desc=what, file=terminal, leave=False, dynamic_ncols=True)
        return
    started = time.monotonic()
    step = max(1, len(items) // 10)
    for done, item in enumerate(items, 1):
        yield item
        if done % step == 0 or done == len(items):
            rate = done / (time.monotonic() - started)
            LOGGER.info(
                "%s: %d of %d, %.2f a second, %.0f s left", what, done, len(items), rate, (len(items) - done) / rate
            )
