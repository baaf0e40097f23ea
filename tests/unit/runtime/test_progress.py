"""The line a minute, from made-up events."""

from types import SimpleNamespace

import pytest
from snakemake_interface_logger_plugins.common import LogEvent

from snakemake_logger_plugin_fairdream import LogHandler, LogHandlerSettings, Progress


def event(name: LogEvent, **fields) -> SimpleNamespace:
    return SimpleNamespace(event=name, **fields)


@pytest.fixture
def progress():
    """Four trainings and eight drawings on two machines."""
    own = Progress(0.0)
    own.take(event(LogEvent.RUN_INFO, stats={"finetune": 4, "generate": 8, "all": 1, "total": 13}), 0.0)
    own.take(SimpleNamespace(), 0.0)  # a record without an event
    return own


def run(progress: Progress, job: int, rule: str, begin: float, end: float | None = None, failed: bool = False) -> None:
    progress.take(event(LogEvent.JOB_STARTED, jobs=[job]), begin)
    progress.take(event(LogEvent.JOB_INFO, jobid=job, rule_name=rule), begin)
    if end is not None and failed:
        progress.take(event(LogEvent.JOB_ERROR, jobid=job), end)
    elif end is not None:
        progress.take(event(LogEvent.JOB_FINISHED, job_id=job), end)


def test_at_first_the_time_is_not_known(progress):
    run(progress, 1, "finetune", 0.0)
    line = progress.line(5.0)
    assert "0 of 12 jobs done, 1 running, 11 waiting, 0 failed; time left unknown: finetune 0/4 (1 running)" in line


def test_the_time_left_is_work_at_the_pace_so_far(progress):
    run(progress, 1, "finetune", 0.0, 100.0)
    run(progress, 2, "finetune", 0.0, 100.0)
    assert progress.left(100.0) == (pytest.approx(2 * 100 / 2), False)
    assert "at least 2 min left" in progress.line(100.0)
    run(progress, 3, "generate", 100.0, 150.0)
    run(progress, 4, "generate", 100.0, 150.0)
    # 2 trainings and 6 drawings are left, two at a time
    assert progress.left(150.0) == (pytest.approx((2 * 100 + 6 * 50) / 2), True)
    assert "about 4 min left" in progress.line(150.0)


def test_no_time_is_told_where_all_known_rules_are_done(progress):
    for job in range(4):
        run(progress, job, "finetune", 0.0, 10.0)
    assert "time left unknown" in progress.line(20.0)


def test_failures_are_counted_and_their_jobs_wait_again(progress):
    run(progress, 1, "finetune", 0.0, 10.0, failed=True)
    run(progress, 1, "finetune", 10.0)
    line = progress.line(20.0)
    assert "0 of 12 jobs done, 1 running, 11 waiting, 1 failed" in line
    assert "finetune 0/4 (1 running, 1 failed)" in line


def test_a_checkpoint_that_adds_jobs_adds_to_the_total(progress):
    run(progress, 1, "finetune", 0.0, 10.0)
    progress.take(event(LogEvent.RUN_INFO, stats={"finetune": 6, "generate": 8, "total": 14}), 10.0)
    assert "1 of 14 jobs done" in progress.line(10.0)


def test_the_handler_says_it_every_so_often_and_stops(capsys):
    common = SimpleNamespace(dryrun=False)
    handler = LogHandler(common, LogHandlerSettings(every=0.05))
    handler.emit(event(LogEvent.RUN_INFO, stats={"finetune": 1, "total": 1}))
    handler.emit(event(LogEvent.JOB_STARTED, jobs=[1]))
    handler.emit(event(LogEvent.JOB_INFO, jobid=1, rule_name="finetune"))
    text = ""
    for _ in range(100):
        handler._ended.wait(0.05)
        text += capsys.readouterr().err
        if text:
            break
    assert "0 of 1 jobs done, 1 running" in text
    handler.close()
    assert handler._ended.is_set()
