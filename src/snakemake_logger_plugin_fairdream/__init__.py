"""A run at a glance: ``--logger fairdream`` adds one line per minute to what Snakemake prints.

    [14:05] 133 of 313 jobs done, 2 running, 178 waiting, 0 failed; about 6 min left: finetune 12/30 (2 running), …

The time left is the jobs' that wait, by the median of their rule's in this run, at the pace of the run so far. Rules of
which no job has ended yet are not in it, and the line then says "at least".
"""

import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from logging import LogRecord
from statistics import median
from typing import Any

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent
from snakemake_interface_logger_plugins.settings import LogHandlerSettingsBase


@dataclass
class LogHandlerSettings(LogHandlerSettingsBase):
    """The plugin's options."""

    every: int = field(default=60, metadata={"help": "Seconds between two lines, at least 1."})


class Progress:
    """What is known of a run, from the events of its log."""

    def __init__(self, now: float):
        self.began = now
        self.total: Counter[str] = Counter()
        self.done: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.running: dict[int, float] = {}
        self.rules: dict[int, str] = {}
        self.took: dict[str, list[float]] = {}

    def take(self, record: Any, now: float) -> None:
        """Take up an event."""
        event = getattr(record, "event", None)
        if event == LogEvent.RUN_INFO:
            # once more after each checkpoint, then with what is left alone
            total: Counter[str] = Counter(
                {rule: count for rule, count in record.stats.items() if rule not in ("total", "all")}
            )
            self.total = total if not self.done else self.total | total
        elif event == LogEvent.JOB_INFO:
            self.rules[record.jobid] = record.rule_name
        elif event == LogEvent.JOB_STARTED:
            self.running |= dict.fromkeys(record.jobs, now)
        elif event == LogEvent.JOB_FINISHED:
            self._end(record.job_id, now, self.done)
        elif event == LogEvent.JOB_ERROR:
            self._end(record.jobid, now, self.failed)

    def _end(self, job: int, now: float, ended: Counter[str]) -> None:
        rule = self.rules.get(job)
        started = self.running.pop(job, None)
        if rule is None or rule == "all":
            return
        ended[rule] += 1
        if started is not None and ended is self.done:
            self.took.setdefault(rule, []).append(now - started)

    def left(self, now: float) -> tuple[float, bool]:
        """Return the seconds left, and whether that is all: false where a rule's jobs have not ended yet."""
        waiting = {rule: count - self.done[rule] for rule, count in self.total.items() if count > self.done[rule]}
        work = sum(median(self.took[rule]) * count for rule, count in waiting.items() if rule in self.took)
        spent = sum(map(sum, self.took.values()))
        pace = spent / (now - self.began) if spent else 1.0  # seconds of jobs a second of the run
        return work / pace, all(rule in self.took for rule in waiting)

    def line(self, now: float) -> str:
        """Return the run at a glance."""
        of_rule = Counter(self.rules[job] for job in self.running if self.rules.get(job, "all") != "all")
        total, done, failed = self.total.total(), self.done.total(), self.failed.total()
        running = of_rule.total()
        seconds, all_known = self.left(now)
        parts = []
        for rule, count in self.total.items():
            states = [f"{of_rule[rule]} running"] if of_rule[rule] else []
            states += [f"{self.failed[rule]} failed"] if self.failed[rule] else []
            if states or 0 < self.done[rule] < count:
                parts.append(f"{rule} {self.done[rule]}/{count}" + (f" ({', '.join(states)})" if states else ""))
        # 0 s of rules that have no job left say nothing of those that wait
        known = self.took and (all_known or seconds >= 1)
        time_left = f"{'about' if all_known else 'at least'} {_time(seconds)} left" if known else "time left unknown"
        waiting = max(0, total - done - running)
        head = f"{done} of {total} jobs done, {running} running, {waiting} waiting, {failed} failed; {time_left}"
        return f"[{time.strftime('%H:%M')}] {head}" + (f": {', '.join(parts)}" if parts else "")


class LogHandler(LogHandlerBase):
    """Prints the run's progress beside Snakemake's own messages."""

    def __post_init__(self) -> None:
        self._progress = Progress(time.monotonic())
        self._ended = threading.Event()
        self._reading = threading.Lock()
        if not self.common_settings.dryrun:
            # a thread: a run of long jobs has nothing to log for an hour
            threading.Thread(target=self._tell, daemon=True).start()

    def _tell(self) -> None:
        while not self._ended.wait(max(1, getattr(self.settings, "every", 60))):
            with self._reading:
                line = self._progress.line(time.monotonic()) if self._progress.running else None
            if line:
                print(line, file=sys.stderr, flush=True)

    def emit(self, record: LogRecord) -> None:
        """Take up an event."""
        with self._reading:
            self._progress.take(record, time.monotonic())

    def close(self) -> None:
        """End with the run."""
        self._ended.set()
        super().close()

    # Snakemake's own stream handler goes on: one stream handler is all it allows, and jobs are named there.
    writes_to_stream = False
    writes_to_file = False
    has_filter = True  # all events, whatever the screen shows
    has_formatter = True
    needs_rulegraph = False


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"
