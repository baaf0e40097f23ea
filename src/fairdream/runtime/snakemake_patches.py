"""Six repairs of Snakemake: of its load where it is started, of jobs run for nothing or not at all, and of its locks.

While jobs wait for a place, Snakemake 9 looks again after the span of `max-jobs-per-timespan`, by a timer that it sets
at every look. So a timer leads to a look and the look to a timer, for ever, and the end of each job begins one more
such chain: after 150 jobs it looks 150 times a second, or as often as it can, each time at the inputs of every job that
is ready. One timer at a time does the same. See docs/performance.md for what it costs.

When a checkpoint has to run, all behind it is expected to run too, each job for the reason "input files updated by
another job". Once the checkpoint is done, Snakemake 9 drops a job whose own input turns out to be as it was, but what
reads that job's output keeps its reason: images would be generated again with adapters that were not trained again.
So the jobs that are to run for the sake of another are found anew at each look.

When a job fails, its output is removed, but Snakemake 9 records it as one that was made, from the inputs and params of
now. Where what comes after the job is still there from before, the next call then finds nothing changed and has
"nothing to be done": old tables would stand for new data or another learning rate. So the record says that the job has
failed, which differs from all params, and the job runs in the next call whatever was edited.

And the record is written by the process from which the run was started. Where that is killed, a job on the cluster goes
on to its end, and its new output stands under the old one's record: when the edit is taken back, nothing has changed.
So the process in which a job runs writes the record too; it has its configuration from the same plan.

A job that is to be tried again waits for a place, and Snakemake 9 counts it as running meanwhile. When a checkpoint
ends, what is ready is found anew among the jobs that do not run: the one that waits is lost, and the run ends without
it, with "Out of jobs ready to be started" or, under `keep-going`, without a word. So it counts as running when it runs.

Groups are formed at each look from the groups of the last one, which Snakemake 9 merges again: where eight jobs share
an allocation, after a checkpoint sixty-four do, and a running group that grew is submitted once more, until the run
ends with a KeyError. So groups are formed of jobs, and one that runs or waits for its next attempt stays as it is.

A run that ends removes the locks of all runs in its folder, so that a third one may write the same results as the one
that still goes on. So it removes its own; `--unlock` removes all, as it is meant to.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from copy import copy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from fairdream.runtime.repairs import repair

METHOD = "_schedule_reevalutation"  # Snakemake's spelling


@repair("the scheduler's timers", {f"snakemake.scheduling.job_scheduler:JobScheduler.{METHOD}": "bb09f100ea5766bb"})
def mend_scheduler() -> None:
    """Let Snakemake's scheduler hold one timer at a time."""
    from snakemake.scheduling.job_scheduler import JobScheduler

    setattr(JobScheduler, METHOD, _look_again)


@repair("the reasons behind a checkpoint", {"snakemake.dag:DAG.update_needrun": "2cc7fc0714165cf3"})
def mend_reasons() -> None:
    """Let Snakemake forget at each look which jobs were to run for another job's sake, and find it anew."""
    from snakemake.dag import DAG

    original: Any = DAG.update_needrun

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


FAILED = "failed"  # a param that no job has


@repair(
    "the records of jobs",
    {
        "snakemake.jobs:Job.postprocess": "6c242cdd6b939c33",
        "snakemake.persistence:PersistenceBase.finished": "3f347851a55e2243",
    },
)
def mend_records() -> None:
    """Let Snakemake record of a job that has failed that it failed, and let a job's own process write its record."""
    from snakemake.jobs import Job
    from snakemake.persistence import PersistenceBase

    original: Any = Job.postprocess
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
        await record(_of_main_process(persistence), job)
        if job not in failed:
            return
        persistence._clear_cache()
        for file in job.output:
            if made := persistence.metadata(file):
                params = [*(made.params or []), FAILED]
                persistence._write_record(persistence._get_key(file), made.model_copy(update={"params": params}))
        persistence._clear_cache()

    Job.postprocess = postprocess
    PersistenceBase.finished = finished


def _of_main_process(persistence: Any) -> Any:
    """Return what writes records, in any process: Snakemake's own asks its workflow whether it may."""
    from snakemake_interface_executor_plugins.settings import ExecMode

    workflow = persistence.dag.workflow
    asked = ("execution_settings", "dag_settings", "deployment_settings")
    settings = {name: getattr(workflow, name) for name in asked}
    own = copy(persistence)
    own.dag = SimpleNamespace(workflow=SimpleNamespace(exec_mode=ExecMode.DEFAULT, **settings))
    return own


@repair("lost attempts", {"snakemake.scheduling.job_scheduler:JobScheduler._handle_error": "255b52a98a346275"})
def mend_retries() -> None:
    """Let Snakemake count a job that waits for its next attempt as one that does not run."""
    from snakemake.scheduling.job_scheduler import JobScheduler

    original: Any = JobScheduler._handle_error

    def handle_error(scheduler: Any, job: Any, postprocess_job: bool = True) -> None:
        original(scheduler, job, postprocess_job)
        if job not in scheduler.failed:
            scheduler.workflow.dag._running.discard(job)

    JobScheduler._handle_error = handle_error


@repair("groups that grow", {"snakemake.dag:DAG.update_groups": "d49fd0a42f844134"})
def mend_groups() -> None:
    """Let Snakemake form groups of jobs and not of groups, and leave those that were submitted as they are."""
    from snakemake.dag import DAG

    original: Any = DAG.update_groups

    def update_groups(dag: Any) -> None:
        submitted = {
            job: group
            for job, group in dag._group.items()
            if dag.needrun(job) and not dag.finished(job) and (group in dag._running or group.attempt > 1)
        }
        needed = [job for job in dag.needrun_jobs() if job not in submitted]
        dag.group_job_factory.cache.clear()  # it holds groups that were merged
        dag.needrun_jobs = lambda: needed  # of this look alone
        try:
            original(dag)
        finally:
            del dag.needrun_jobs
        dag._group.update(submitted)

    DAG.update_groups = update_groups


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


@repair(
    "the locks of other runs",
    {
        "snakemake.persistence.file:FilePersistence._delete_locks": "831014b3c20699d1",
        "snakemake.persistence:PersistenceBase.cleanup_locks": "694b4a084114c04b",
    },
)
def mend_locks() -> None:
    """Let a run remove its own locks at its end, and ``--unlock`` those of all."""
    from snakemake.persistence.file import FilePersistence

    remove_all: Any = FilePersistence._delete_locks
    setattr(FilePersistence, "cleanup_locks", remove_all)  # noqa: B010 - mypy takes a method for constant
    setattr(FilePersistence, "_delete_locks", _remove_own_locks)  # noqa: B010


def _remove_own_locks(persistence: Any) -> None:
    for file in persistence._lockfile.values():
        Path(file).unlink(missing_ok=True)
    persistence._lockfile.clear()
    with suppress(OSError):  # of another run there are more
        os.rmdir(persistence._lockdir)
