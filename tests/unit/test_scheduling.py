"""The repair of Snakemake's scheduler: one timer at a time, and it goes on looking."""

import threading
import time

import pytest
from snakemake.scheduling import job_scheduler

from fairdream.scheduling import METHOD, mend_scheduler


class Scheduler(job_scheduler.JobScheduler):
    def __init__(self):
        self._open_jobs = threading.Semaphore(0)


@pytest.fixture
def mended(monkeypatch):
    # setting it to what it is lets monkeypatch bring it back
    monkeypatch.setattr(job_scheduler.JobScheduler, METHOD, getattr(job_scheduler.JobScheduler, METHOD))
    assert mend_scheduler(), "the Snakemake of requirements.lock is the one that the repair was written for"


def looks(scheduler, seconds: float) -> int:
    """Look as the scheduler's loop does, each look setting a timer; return how often."""
    count, end = 0, time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if scheduler._open_jobs.acquire(timeout=left):
            count += 1
            getattr(scheduler, METHOD)(0.1)
    return count


def test_jobs_that_end_begin_no_chains_of_looks(mended):
    scheduler = Scheduler()
    scheduler._open_jobs.release(40)  # forty jobs ended
    assert 40 + 3 <= looks(scheduler, 1.05) <= 40 + 11, "every tenth of a second, and at once for each job"


def test_without_the_repair_each_job_s_end_begins_a_chain():
    scheduler = Scheduler()
    scheduler._open_jobs.release(40)
    assert looks(scheduler, 1.05) > 40 + 80


def test_another_snakemake_is_left_alone(monkeypatch):
    monkeypatch.delattr(job_scheduler.JobScheduler, METHOD)
    assert not mend_scheduler()
    assert not hasattr(job_scheduler.JobScheduler, METHOD)
