"""The repairs of Snakemake: one timer at a time, no job for one that does not run, and jobs that failed run again."""

import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
from snakemake.persistence.file import FilePersistence
from snakemake.scheduling import job_scheduler

from fairdream.runtime.snakemake_patches import METHOD, mend_locks, mend_scheduler


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


def locks_of_two_runs(folder: Path) -> tuple[FilePersistence, list[Path]]:
    """A run's persistence, and the locks in its folder: its own, and another run's."""
    persistence = FilePersistence.__new__(FilePersistence)
    own, other = folder / "0.output.lock", folder / "1.output.lock"
    for file in (own, other):
        file.write_text("a\n")
    persistence._lockdir, persistence._lockfile = str(folder), {"output": str(own)}
    return persistence, [own, other]


@pytest.mark.parametrize("mended", [True, False])
def test_a_run_that_ends_leaves_the_locks_of_others(tmp_path, monkeypatch, mended):
    for name in ("_delete_locks", "cleanup_locks"):
        # setting it to what it is lets monkeypatch bring it back
        monkeypatch.setattr(FilePersistence, name, getattr(FilePersistence, name), raising=False)
    if mended:
        assert mend_locks()
    persistence, locks = locks_of_two_runs(tmp_path)
    persistence.unlock()
    assert [file.exists() for file in locks] == [False, mended]
    # and what is asked for by `--unlock`
    persistence, locks = locks_of_two_runs(tmp_path) if mended else (persistence, locks)
    persistence.cleanup_locks()
    assert not any(file.exists() for file in locks)


# What Snakemake does by itself is watched too: should it mend that, its repair can go.
MENDED = pytest.mark.parametrize("mended", [True, pytest.param(False, marks=pytest.mark.slow)])

# A checkpoint that tells what each member is; members are compared by content, as each is read behind the checkpoint.
WORKFLOW = """
import sys
from pathlib import Path
sys.path.insert(0, {source!r})
from fairdream.runtime.snakemake_patches import mend_reasons
if {mended}:
    mend_reasons()

rule table:
    input: "a.scores", "b.scores"
    output: "table"
    shell: "cat {{input}} > {{output}}"

checkpoint members:
    input: "list"
    output: "index"
    run:
        for line in Path(input[0]).read_text().split():
            name, _, text = line.partition("=")
            Path(f"{{name}}.member").write_text(text)
        Path(output[0]).touch()

def member(wildcards):
    checkpoints.members.get()
    return f"{{wildcards.name}}.member"

rule train:
    input: member
    output: "{{name}}.adapter"
    shell: "cp {{input}} {{output}}"

rule draw:
    input: "{{name}}.adapter"
    output: "{{name}}.images"
    shell: "cp {{input}} {{output}}"

rule score:
    input: "{{name}}.images"
    output: "{{name}}.scores"
    shell: "cp {{input}} {{output}}"
"""


def run(folder: Path) -> list[str]:
    """Run the workflow; return the output of each job."""
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--nocolor"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    # a checkpoint tells in the same line what behind it is not known yet
    return re.findall(r"^    output: ([^\s,]+)", done.stdout + done.stderr, re.M)


@MENDED
def test_behind_a_checkpoint_only_what_has_changed_runs(tmp_path, mended):
    source = str(Path(__file__).resolve().parents[3] / "src")
    (tmp_path / "Snakefile").write_text(WORKFLOW.format(source=source, mended=mended))
    (tmp_path / "list").write_text("a=1 b=1")
    assert sorted(run(tmp_path)) == sorted(
        ["index", "a.adapter", "a.images", "a.scores", "b.adapter", "b.images", "b.scores", "table"]
    )
    time.sleep(1.1)  # modification times are compared
    (tmp_path / "list").write_text("a=1 b=2")
    changed = ["index", "b.adapter", "b.images", "b.scores", "table"]
    unchanged = [] if mended else ["a.images", "a.scores"]
    assert sorted(run(tmp_path)) == sorted(changed + unchanged)
    assert (tmp_path / "table").read_text() == "12"
    assert run(tmp_path) == []


# Two instances of a checkpoint behind jobs whose output comes to be the same again.
TWO = """
import sys
from pathlib import Path
sys.path.insert(0, {source!r})
from fairdream.runtime.snakemake_patches import mend_reasons
mend_reasons()

rule table:
    input: "a.adapter", "b.adapter"
    output: "table"
    shell: "cat {{input}} > {{output}}"

rule split:
    input: "raw"
    output: "{{name}}.split"
    priority: 1  # both before any checkpoint
    shell: "echo same > {{output}}"

checkpoint members:
    input: "{{name}}.split"
    output: "{{name}}.index"
    run:
        member = Path(f"{{wildcards.name}}.member")
        if not member.is_file():
            member.write_text(wildcards.name)
        Path(output[0]).write_text("index")

def member(wildcards):
    checkpoints.members.get(**wildcards)
    return f"{{wildcards.name}}.member"

rule train:
    input: member
    output: "{{name}}.adapter"
    params: rate={rate}
    shell: "echo $(cat {{input}}) {{params.rate}} > {{output}}"
"""


@pytest.mark.parametrize("lost", [False, True])
def test_a_checkpoint_runs_also_where_its_own_input_came_to_be_the_same(tmp_path, lost):
    source = str(Path(__file__).resolve().parents[3] / "src")
    (tmp_path / "Snakefile").write_text(TWO.format(source=source, rate=1))
    (tmp_path / "raw").write_text("1")
    run(tmp_path)
    assert (tmp_path / "table").read_text() == "a 1\nb 1\n"
    time.sleep(1.1)
    (tmp_path / "raw").write_text("2")
    if lost:
        for name in ("a.adapter", "b.adapter", "table"):
            (tmp_path / name).unlink()
    else:
        (tmp_path / "Snakefile").write_text(TWO.format(source=source, rate=2))
    run(tmp_path)
    assert (tmp_path / "table").read_text() == ("a 1\nb 1\n" if lost else "a 2\nb 2\n")
    assert run(tmp_path) == []


# A job that fails while a file "broken" is there; what comes after it was made before.
FAILS = """
import sys
sys.path.insert(0, {source!r})
from fairdream.runtime.snakemake_patches import mend_records
if {mended}:
    mend_records()

rule table:
    input: "adapter"
    output: "table"
    shell: "cp {{input}} {{output}}"

rule split:
    input: "raw"
    output: "member"
    shell: "cp {{input}} {{output}}"

rule train:
    input: "member"
    output: "adapter"
    params: rate={rate}
    shell: "{fault}; echo $(cat {{input}}) {{params.rate}} > {{output}}"
"""
FAULT = "test ! -e broken"
NO_OUTPUT = "if [ -e broken ]; then exit 0; fi"
LATE = "if [ -e broken ]; then echo half > {output}; exit 1; fi"
KEEP = ["--keep-incomplete"]


def fail(folder: Path, *options: str, rule: str = "train") -> None:
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--nocolor", "--latency-wait", "1", *options]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1, done.stderr
    assert re.search(f"in (rule|checkpoint) {rule}", done.stderr)


@pytest.fixture
def broken(tmp_path):
    """A function that runs the workflow, then edits it, with `train` failing; then mends that."""

    def run_broken(mended: bool, raw: str, rate: int, fault: str = FAULT, options: tuple[str, ...] = ()) -> None:
        own = {"source": str(Path(__file__).resolve().parents[3] / "src"), "mended": mended, "fault": fault}
        (tmp_path / "Snakefile").write_text(FAILS.format(rate=1, **own))
        (tmp_path / "raw").write_text("old")
        assert sorted(run(tmp_path)) == ["adapter", "member", "table"]
        time.sleep(1.1)
        if raw != "old":
            (tmp_path / "raw").write_text(raw)
        (tmp_path / "Snakefile").write_text(FAILS.format(rate=rate, **own))
        (tmp_path / "broken").touch()
        fail(tmp_path, *options)
        (tmp_path / "broken").unlink()

    return run_broken


@MENDED
@pytest.mark.parametrize(("raw", "rate"), [("new", 1), ("old", 2)])
def test_a_job_that_failed_runs_again_where_what_comes_after_it_is_there_from_before(
    tmp_path, broken, mended, raw, rate
):
    broken(mended, raw, rate)
    assert sorted(run(tmp_path)) == (["adapter", "table"] if mended else [])
    assert (tmp_path / "table").read_text() == (f"{raw} {rate}\n" if mended else "old 1\n")
    assert run(tmp_path) == []


@pytest.mark.parametrize(("fault", "options"), [(FAULT, ["--retries", "1"]), (NO_OUTPUT, []), (LATE, KEEP)])
def test_however_it_failed(tmp_path, broken, fault, options):
    broken(True, "old", 2, fault, options)
    assert sorted(run(tmp_path)) == ["adapter", "table"]
    assert (tmp_path / "table").read_text() == "old 2\n"
    assert run(tmp_path) == []


@pytest.mark.parametrize("options", [[], KEEP])
def test_also_when_the_edit_is_taken_back(tmp_path, broken, options):
    """The output is gone, or half made; and what is behind it may be of an edit before."""
    broken(True, "old", 2, LATE, options)
    snakefile = tmp_path / "Snakefile"
    snakefile.write_text(snakefile.read_text().replace("rate=2", "rate=1"))
    assert sorted(run(tmp_path)) == ["adapter", "table"]
    assert (tmp_path / "table").read_text() == "old 1\n"
    assert run(tmp_path) == []


# A job that goes on when the process in which the run was started is killed, as one on a cluster does.
KILLED = """
import sys, time
from pathlib import Path
sys.path.insert(0, {source!r})
from fairdream.runtime.snakemake_patches import mend_records
if {mended}:
    mend_records()

rule table:
    input: "adapter"
    output: "table"
    shell: "cp {{input}} {{output}}"

rule train:
    output: "adapter"
    params: rate={rate}
    run:
        Path(f"training{{params.rate}}").touch()
        while not Path("end").exists():
            time.sleep(0.1)
        if Path("broken").exists():
            raise ValueError("broken")
        Path(output[0]).write_text(str(params.rate))
"""


@pytest.fixture
def killed(tmp_path):
    """A function that runs the workflow, then edits it, with the run killed but its training going on to its end."""

    def edit(rate: int, mended: bool = True) -> None:
        source = str(Path(__file__).resolve().parents[3] / "src")
        (tmp_path / "Snakefile").write_text(KILLED.format(source=source, mended=mended, rate=rate))

    def run_killed(mended: bool, broken: bool = False) -> None:
        edit(1, mended)
        (tmp_path / "end").touch()
        assert sorted(run(tmp_path)) == ["adapter", "table"]
        (tmp_path / "end").unlink()
        edit(2, mended)
        command = [sys.executable, "-m", "snakemake", "--cores", "1", "--nocolor"]
        with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL, start_new_session=True) as main:
            wait_for(lambda: (tmp_path / "training2").exists())
            children = psutil.Process(main.pid).children(recursive=True)
            main.kill()
        if broken:
            (tmp_path / "broken").touch()
        (tmp_path / "end").touch()
        psutil.wait_procs(children, timeout=60)
        (tmp_path / "broken").unlink(missing_ok=True)
        subprocess.run([*command, "--unlock"], cwd=tmp_path, check=True, capture_output=True)

    return run_killed, edit


def wait_for(true, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.1)


@MENDED
def test_what_a_job_makes_after_its_run_was_killed_is_not_taken_for_another_edit_s(tmp_path, killed, mended):
    run_killed, edit = killed
    run_killed(mended)
    assert (tmp_path / "adapter").read_text() == "2"
    edit(1, mended)
    assert sorted(run(tmp_path)) == (["adapter", "table"] if mended else ["table"])
    assert (tmp_path / "table").read_text() == ("1" if mended else "2")
    assert run(tmp_path) == []


@pytest.mark.slow
def test_what_a_job_makes_after_its_run_was_killed_is_not_made_again(tmp_path, killed):
    killed[0](True)
    assert run(tmp_path) == ["table"]
    assert (tmp_path / "table").read_text() == "2"
    assert run(tmp_path) == []


@pytest.mark.slow
def test_a_job_that_fails_after_its_run_was_killed_runs_again(tmp_path, killed):
    killed[0](True, broken=True)
    assert not (tmp_path / "adapter").exists()
    assert sorted(run(tmp_path)) == ["adapter", "table"]
    assert (tmp_path / "table").read_text() == "2"


CHECKPOINT = """
import sys
from pathlib import Path
sys.path.insert(0, {source!r})
from fairdream.runtime.snakemake_patches import mend_reasons, mend_records
mend_reasons()
mend_records()

rule table:
    input: "adapter"
    output: "table"
    shell: "cp {{input}} {{output}}"

checkpoint members:
    output: "index"
    params: clusters={clusters}
    shell: "test ! -e broken; test -e member || touch member; touch {{output}}"

def member(wildcards):
    checkpoints.members.get()
    return "member"

rule train:
    input: member
    output: "adapter"
    params: rate={rate}
    shell: "echo {{params.rate}} > {{output}}"
"""


def test_a_checkpoint_that_failed_hides_no_other_edit(tmp_path):
    source = str(Path(__file__).resolve().parents[3] / "src")

    def edit(clusters: int, rate: int) -> None:
        (tmp_path / "Snakefile").write_text(CHECKPOINT.format(source=source, clusters=clusters, rate=rate))

    edit(1, 1)
    run(tmp_path)
    (tmp_path / "broken").touch()
    edit(2, 1)
    fail(tmp_path, rule="members")
    (tmp_path / "broken").unlink()
    edit(1, 2)
    assert sorted(run(tmp_path)) == ["adapter", "index", "table"]
    assert (tmp_path / "table").read_text() == "2\n"
    assert run(tmp_path) == []


# On three cores: `flaky` fails while the checkpoint runs, and its core goes to what is more urgent.
WAITS = """
import sys
sys.path.insert(0, {source!r})
from fairdream.runtime.snakemake_patches import mend_retries
if {mended}:
    mend_retries()

rule table:
    input: "flaky", "urgent1", "urgent2", "adapter"
    output: "table"
    shell: "touch {{output}}"

rule flaky:
    output: "flaky"
    retries: 1
    shell: "sleep 2; if [ ! -e tried ]; then touch tried; exit 1; fi; touch {{output}}"

rule first:
    output: "first"
    priority: 3
    shell: "touch {{output}}"

rule urgent:
    input: "first"
    output: "urgent{{n}}"
    priority: 1
    shell: "sleep 8; touch {{output}}"

checkpoint members:
    output: "index"
    priority: 2
    shell: "sleep 5; touch {{output}}"

def member(wildcards):
    return checkpoints.members.get().output[0]

rule train:
    input: member
    output: "adapter"
    shell: "touch {{output}}"
"""


@MENDED
@pytest.mark.parametrize("options", [[], ["--keep-going"]])
def test_a_job_that_waits_for_its_second_attempt_when_a_checkpoint_ends_has_it(tmp_path, mended, options):
    source = str(Path(__file__).resolve().parents[3] / "src")
    (tmp_path / "Snakefile").write_text(WAITS.format(source=source, mended=mended))
    command = [sys.executable, "-m", "snakemake", "--cores", "3", "--nocolor", *options]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    steps = re.findall(r"^(?:Trying to restart|Updating checkpoint|localrule flaky)", done.stdout + done.stderr, re.M)
    assert steps[:3] == ["localrule flaky", "Trying to restart", "Updating checkpoint"], "it waited when that ended"
    assert (tmp_path / "table").exists() == mended


# An executor of a cluster, whose jobs make their files and end a little later.
PLUGIN = """
import subprocess
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor
from snakemake_interface_executor_plugins.settings import CommonSettings

common_settings = CommonSettings(
    job_deploy_sources=False,
    non_local_exec=True,
    implies_no_shared_fs=False,
    init_seconds_before_status_checks=0,
    pass_group_args=True,
)


class Executor(RemoteExecutor):
    def __post_init__(self):
        self.next_seconds_between_status_checks = 0.2

    def run_job(self, job):
        jobs = list(job.jobs) if job.is_group() else [job]
        files = sorted(str(file) for own in jobs for file in own.output)
        with open("submitted", "a") as log:
            print(*files, file=log)
        pause = 1 if "index" in files else 0.2 * float(files[0][0]) if job.is_group() else 0
        process = subprocess.Popen(["sh", "-c", f"sleep {pause}; touch " + " ".join(files)])
        self.report_job_submission(SubmittedJobInfo(job, external_jobid=str(process.pid), aux={"process": process}))

    async def check_active_jobs(self, active_jobs):
        for own in active_jobs:
            if own.aux["process"].poll() is None:
                yield own
            else:
                self.report_job_success(own)

    def cancel_jobs(self, active_jobs):
        pass
"""
GROUPS = """
import sys
sys.path.insert(0, {source!r})
from fairdream.runtime.snakemake_patches import mend_groups, mend_reasons, mend_records, mend_retries
if {mended}:
    mend_reasons()
    mend_records()
    mend_retries()
    mend_groups()

onstart:
    workflow.async_run(workflow.dag.postprocess())  # as when jobs of an earlier run were cancelled

rule table:
    input: expand("{{n}}.scores", n=range(10, 60)), "adapter"
    output: "table"
    localrule: True
    shell: "touch {{output}}"

rule score:
    output: "{{n,[0-9]+}}.scores"
    group: "scores"
    shell: ""

checkpoint members:
    output: "index"
    shell: ""

def member(wildcards):
    return checkpoints.members.get().output[0]

rule train:
    input: member
    output: "adapter"
    shell: ""
"""


@MENDED
def test_a_checkpoint_that_ends_while_groups_run_merges_none_and_submits_none_again(tmp_path, mended):
    source = str(Path(__file__).resolve().parents[3] / "src")
    (tmp_path / "plugins/snakemake_executor_plugin_cluster").mkdir(parents=True)
    (tmp_path / "plugins/snakemake_executor_plugin_cluster/__init__.py").write_text(PLUGIN)
    (tmp_path / "Snakefile").write_text(GROUPS.format(source=source, mended=mended))
    command = [sys.executable, "-m", "snakemake", "--executor", "cluster", "--jobs", "4", "--nocolor"]
    command += ["--group-components", "scores=8", "--latency-wait", "2"]
    variables = {**os.environ, "PYTHONPATH": str(tmp_path / "plugins")}
    done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=120)
    groups = [line.split() for line in (tmp_path / "submitted").read_text().splitlines() if "scores" in line]
    sizes = sorted(map(len, groups))
    assert (done.returncode == 0 and sizes == [2, 8, 8, 8, 8, 8, 8]) == mended, (sizes, done.stderr[-2000:])
