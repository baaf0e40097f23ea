"""Ending a run that is asked to end by SIGTERM, SIGINT or SIGHUP: scancel, systemd, Ctrl-C, a closed terminal.

Within ten seconds its jobs are cancelled, here and on the cluster, its folder is unlocked, and it ends with the status
128 + the signal's number. The jobs get SIGTERM first, at which a training saves what it has, and SIGKILL five seconds
later. A second signal ends all at once.

Snakemake 9.27.1 waits at SIGTERM for the jobs that run, at SIGINT for those that were not sent it too, and dies of
SIGHUP, with its jobs alive and its folder locked. And its handler takes a lock in the main thread that the main thread
may hold: now and then the run then stands for ever. So here a handler does nothing. What a signal asks for is done by
another thread, which waits for no lock: where the main thread does not come to its end in time, the process ends.

A signal that the parent has this process ignore (`nohup`, a shell's background) stays ignored.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from fairdream.runtime.repairs import repair

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
GRACE = 5.0  # seconds in which jobs may save what they have
LIMIT = 8.0  # seconds after which the process ends, whatever is left to do
SETTLED = 1.5  # seconds for Snakemake's last words, once no job runs
AGAIN = 1.0  # a closed terminal's shell and kernel, a key and a wrapper that passes it on: one request


@contextlib.contextmanager
def listening(numbers: Iterable[int], act: Callable[[int], None]) -> Iterator[None]:
    """Call `act` with each signal that comes, in a thread of its own, which the main thread cannot hold up.

    Outside of the main thread nothing is listened to, as Python sets no handlers there.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard = [number for number in numbers if signal.getsignal(number) not in (signal.SIG_IGN, None)]
    reader, writer = os.pipe()
    os.set_blocking(writer, False)

    def watch() -> None:
        while data := os.read(reader, 1):
            if data[0] in heard:
                act(data[0])
        os.close(reader)

    threading.Thread(target=watch, daemon=True).start()
    wakeup = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    # children do not inherit a handler as they would inherit a blocked or ignored signal
    before = {number: signal.signal(number, lambda *_: None) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(wakeup)
        os.close(writer)


@repair(
    "runs that are asked to end",
    {
        "snakemake.workflow:Workflow.execute": "ab01c47606d43dd9",
        "snakemake.scheduling.job_scheduler:JobScheduler.__init__": "996627fdef14a803",
        "snakemake.scheduling.job_scheduler:JobScheduler.schedule": "9f32db93a39bd96f",
        "snakemake.scheduling.job_scheduler:JobScheduler.exit_gracefully": "71dc8bb2df123d88",
    },
)
def mend_signals() -> None:
    """Let Snakemake end when it is asked to, and a job's own Snakemake wait for its job without standing still."""
    from snakemake.scheduling.job_scheduler import JobScheduler
    from snakemake.workflow import Workflow

    original: Any = Workflow.execute
    schedule: Any = JobScheduler.__init__

    def execute(workflow: Any, executor_plugin: Any, *args: Any, **kwargs: Any) -> Any:
        own = executor_plugin.common_settings
        if own.dryrun_exec or own.touch_exec:
            return original(workflow, executor_plugin, *args, **kwargs)
        if not workflow.is_main_process:
            with listening([signal.SIGTERM], lambda number: _wait_for_job(workflow, number)):
                return original(workflow, executor_plugin, *args, **kwargs)
        ending = Ending(workflow)
        with listening(SIGNALS, ending.ask):
            try:
                return original(workflow, executor_plugin, *args, **kwargs)
            finally:
                ending.over.set()

    def begin(scheduler: Any, *args: Any, **kwargs: Any) -> None:
        before = signal.getsignal(signal.SIGTERM)
        schedule(scheduler, *args, **kwargs)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)

    setattr(Workflow, "execute", execute)  # noqa: B010 - mypy takes a method for constant
    setattr(JobScheduler, "__init__", begin)  # noqa: B010


def _wait_for_job(workflow: Any, number: int) -> None:
    """Do as Snakemake does in the process of a job: who sends it SIGTERM has sent it to the job too."""
    if workflow.scheduler is None:
        os._exit(128 + number)
    workflow.scheduler.exit_gracefully()


class Ending:
    """The end of one run in this process, should it be asked for."""

    def __init__(self, workflow: Any):
        self.workflow = workflow
        self.over = threading.Event()  # Snakemake has come to its end by itself
        self.number = 0  # of the signal that came first
        self.asked = 0.0
        self.family = Family()
        self.canceller = threading.Thread(target=self._cancel, daemon=True)

    def ask(self, number: int) -> None:
        """Begin to end; at a second signal, be done with it."""
        now = time.monotonic()
        if self.number:
            if now - self.asked > AGAIN:
                self.leave()
            return
        self.number, self.asked = number, now
        atexit.register(self.leave)  # Snakemake's own status does not tell a run that was ended from one that failed
        for work in (self._end, self._watch):
            threading.Thread(target=work, daemon=True).start()

    def leave(self) -> None:
        """End this process, with all that is left below it, and give its folder free."""
        for work in (self.family.kill, self._unlock, sys.stdout.flush):
            _try(work, 0.5)
        os._exit(128 + self.number)

    def _watch(self) -> None:
        if not self.over.wait(LIMIT):
            self.leave()

    def _end(self) -> None:
        from snakemake.logging import logger

        scheduler = self.workflow.scheduler
        if scheduler is not None:
            scheduler._user_kill = "asked"  # not by its own handler, which takes its lock
            scheduler._open_jobs.release()
        _start_nothing_more(self.canceller, self.family.spared)
        name = signal.Signals(self.number).name
        logger.info(f"Asked to end ({name}): cancelling jobs; they have {GRACE:g} seconds to save what they have.")
        quiet = self.asked
        while not self.over.wait(0.1):
            now = time.monotonic()
            alive = self.family.alive()
            self.family.send(signal.SIGKILL if now - self.asked > GRACE else signal.SIGTERM, alive)
            # a job whose submission is under way has no number on the cluster yet
            if self.canceller.ident is None and (not alive or now - self.asked > 1):
                self.canceller.start()
            if alive or self.canceller.ident is None or self.canceller.is_alive() or _runs_here(scheduler):
                quiet = now
            elif now - quiet > SETTLED:
                self.leave()

    def _unlock(self) -> None:
        persistence = self.workflow.persistence
        # only where this run has locked something, see `snakemake_patches.mend_locks`
        if persistence is not None and getattr(persistence, "_lockfile", True):
            persistence.unlock()

    def _cancel(self) -> None:
        """Cancel what was submitted to a cluster."""
        executor: Any = getattr(self.workflow.scheduler, "_executor", None)
        if not hasattr(executor, "cancel_jobs"):
            return
        with contextlib.suppress(Exception):
            executor.cancel_jobs(list(executor.active_jobs))
        # SLURM's executor: its list is empty while it asks for states, and lacks what was just submitted
        if name := getattr(executor, "run_uuid", None):
            with contextlib.suppress(OSError, subprocess.SubprocessError):
                subprocess.run(["scancel", f"--name={name}"], timeout=LIMIT)


class Family:
    """The processes that this one has started, directly or not, also those whose parent has ended since."""

    def __init__(self) -> None:
        import psutil

        self.psutil = psutil
        self.spared: set[int] = set()
        self._seen: set[Any] = set()
        self._told: set[Any] = set()

    def alive(self) -> list[Any]:
        """Return those that run, without those that are to be spared."""
        found = set(self.psutil.Process().children(recursive=True))
        for orphan in self._seen - found:
            with contextlib.suppress(self.psutil.Error):
                found |= {orphan, *orphan.children(recursive=True)}
        self._seen |= found
        return [process for process in found if process.pid not in self.spared and self._runs(process)]

    def send(self, number: int, processes: list[Any]) -> None:
        """Send a signal; but SIGTERM once to each, as one that saves itself is not to be disturbed."""
        for process in processes:
            if number == signal.SIGKILL or process not in self._told:
                self._told.add(process)
                with contextlib.suppress(self.psutil.Error):
                    process.send_signal(number)

    def kill(self) -> None:
        """Kill them all."""
        self.send(signal.SIGKILL, self.alive())

    def _runs(self, process: Any) -> bool:
        try:
            return process.is_running() and process.status() != self.psutil.STATUS_ZOMBIE
        except self.psutil.Error:
            return False


def _runs_here(scheduler: Any) -> bool:
    """Whether Snakemake has a job on this machine that it has not seen the end of."""
    if scheduler is None:
        return False
    return any(scheduler._local_executor is None or job.is_local for job in list(scheduler.running))


def _start_nothing_more(allowed: threading.Thread, started: set[int]) -> None:
    """Let no process be started any more, but by one thread; keep the numbers of those."""
    begin: Any = subprocess.Popen.__init__

    def start(process: Any, *args: Any, **kwargs: Any) -> None:
        if threading.current_thread() is not allowed:
            raise ChildProcessError("not started: the run was asked to end")
        begin(process, *args, **kwargs)
        started.add(process.pid)

    setattr(subprocess.Popen, "__init__", start)  # noqa: B010 - mypy takes a method for constant


def _try(work: Callable[[], object], seconds: float) -> None:
    """Do what may take a lock that never comes free, or fail; wait for it some seconds."""

    def quietly() -> None:
        with contextlib.suppress(Exception):
            work()

    thread = threading.Thread(target=quietly, daemon=True)
    try:
        thread.start()
    except RuntimeError:  # at the interpreter's end none can be started
        quietly()
    else:
        thread.join(seconds)


def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command as `subprocess.run` does; it gets the signals that ask this process to end.

    Raises
    ------
    SystemExit
        At its end, with 128 + the signal's number, when this process was asked to end.
    """
    received: list[int] = []
    process: subprocess.Popen[str] | None = None

    def pass_on(number: int, _: object = None) -> None:
        received.append(number)
        if process is not None:
            process.send_signal(number)

    heard = [number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, pass_on) for number in heard}
    try:
        process = subprocess.Popen(command, text=True, **options)
        for number in received:  # before there was a process to tell
            process.send_signal(number)
        output, _ = process.communicate()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if received:
        raise SystemExit(128 + received[0])
    return subprocess.CompletedProcess(command, process.returncode, output)
