"""One repair of Snakemake's scheduler, which otherwise comes to fill a core of the machine a run is started on.

While jobs wait for a place, Snakemake 9 looks again after the span of `max-jobs-per-timespan`, by a timer that it sets
at every look. So a timer leads to a look and the look to a timer, for ever, and the end of each job begins one more
such chain: after 150 jobs it looks 150 times a second, or as often as it can, each time at the inputs of every job that
is ready. One timer at a time does the same. See docs/performance.md for what it costs.
"""

from __future__ import annotations

import threading
from typing import Any

METHOD = "_schedule_reevalutation"  # Snakemake's spelling


def mend_scheduler() -> bool:
    """Let Snakemake's scheduler hold one timer at a time; return whether it is the one that this was written for."""
    from snakemake.scheduling.job_scheduler import JobScheduler

    if not hasattr(JobScheduler, METHOD):
        return False
    setattr(JobScheduler, METHOD, _look_again)
    return True


def _look_again(scheduler: Any, delay: float) -> None:
    pending = getattr(scheduler, "_fairdream_timer", None)
    if pending is not None and not pending.finished.is_set():
        return

    def look() -> None:
        timer.finished.set()  # before the look, which sets the next one
        scheduler._open_jobs.release()

    timer = threading.Timer(delay, look)
    timer.daemon = True  # a run that is over does not wait for it
    scheduler._fairdream_timer = timer
    timer.start()
