"""Four repairs of Snakemake: of its load where it is started, of jobs run for nothing, and of jobs that are not run.

While jobs wait for a place, Snakemake 9 looks again after the span of `max-jobs-per-timespan`, by a timer that it sets
at every look. So a timer leads to a look and the look to a timer, for ever, and the end of each job begins one more
such chain: after 150 jobs it looks 150 times a second, or as often as it can, each time at the inputs of every job that
is ready. One timer at a time does the same. See docs/performance.md for what it costs.

When a checkpoint has to run, all behind it is expected to run too, each job for the reason "input files updated by
another job". Once the checkpoint is done, Snakemake 9 drops a job whose own input turns out to be as it was, but what
reads that job's output keeps its reason: images would be drawn anew with adapters that were not trained again. So the
jobs that are to run for the sake of another are found anew at each look.

When a job fails, its output is removed, but Snakemake 9 records it as one that was made, from the inputs and params of
now. Where what comes after the job is still there from before, the next call then finds nothing changed and has
"nothing to be done": old tables would stand for new data or another learning rate. So the record stays what it was
when the output was last made, which is what the files behind it were made from.

A job that is to be tried again waits for a place, and Snakemake 9 counts it as running meanwhile. When a checkpoint
ends, what is ready is found anew among the jobs that do not run: the one that waits is lost, and with `BUG: Out of jobs
ready to be started` the run ends without it. So it counts as running when it runs.
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


def mend_reasons() -> None:
    """Let Snakemake forget at each look which jobs were to run for another job's sake, and find it anew."""
    from snakemake.dag import DAG

    original: Any = DAG.update_needrun
    if original.__module__ == __name__:
        return  # mended already

    async def update_needrun(dag: Any, create_inventory: bool = False) -> None:
        for job in dag.jobs:
            derived = dag.reason(job).updated_input_run
            # What was started has removed its output: only the reason tells that it is needed. And what is behind a
            # checkpoint is known when it has run, so one that was to run does.
            started = dag.finished(job) or dag.is_running(job) or job.attempt > 1
            if derived and not job.is_checkpoint and not started:
                derived.clear()
        await original(dag, create_inventory)

    DAG.update_needrun = update_needrun


def mend_records() -> None:
    """Let Snakemake keep the record of the last output that was made, where a job has failed."""
    from snakemake.jobs import Job
    from snakemake.persistence import PersistenceBase

    original: Any = Job.postprocess
    if original.__module__ == __name__:
        return  # mended already
    record: Any = PersistenceBase.finished
    failed: set[Any] = set()

    async def postprocess(job: Any, *args: Any, error: bool = False, **kwargs: Any) -> None:
        if error:
            failed.add(job)
        try:
            await original(job, *args, error=error, **kwargs)
        finally:
            failed.discard(job)

    async def finished(persistence: Any, job: Any) -> None:
        if job in failed:
            persistence.cleanup(job)
        else:
            await record(persistence, job)

    # Snakemake calls it where a job has failed, or has not made its output: it would remove the record too
    def cleanup(persistence: Any, job: Any) -> None:
        persistence._clear_cache()
        for file in job.output:
            persistence._unmark_incomplete(persistence._get_key(file))

    Job.postprocess = postprocess
    PersistenceBase.finished = finished
    PersistenceBase.cleanup = cleanup


def mend_retries() -> None:
    """Let Snakemake count a job that waits for its next attempt as one that does not run."""
    from snakemake.scheduling.job_scheduler import JobScheduler

    original: Any = JobScheduler._handle_error
    if original.__module__ == __name__:
        return  # mended already

    def handle_error(scheduler: Any, job: Any, postprocess_job: bool = True) -> None:
        original(scheduler, job, postprocess_job)
        if job not in scheduler.failed:
            scheduler.workflow.dag._running.discard(job)

    JobScheduler._handle_error = handle_error


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
