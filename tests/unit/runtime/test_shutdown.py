"""A run that is asked to end does so within ten seconds, with no process alive, its folder unlocked, and says why."""

import os
import random
import shutil
import signal
import subprocess
import sys
import textwrap
import time
import uuid
from pathlib import Path

import pytest
from processes import bearing, wait_for

SOURCE = Path(__file__).resolve().parents[3] / "src"
ASKING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
MENDED = """
import sys
sys.path.insert(0, {source!r})
from fairdream.runtime import snakemake_patches, shutdown
snakemake_patches.mend_scheduler()
snakemake_patches.mend_reasons()
snakemake_patches.mend_records()
snakemake_patches.mend_retries()
snakemake_patches.mend_groups()
shutdown.mend_signals()
"""
# Jobs that begin and end many times a second, each with a child of its own.
QUICK = """
rule all:
    input: expand("{n}.made", n=range(1000))

rule make:
    output: "{n}.made"
    retries: 1
    shell: "sh -c 'sleep 0.05; true' & wait; touch {output}"
"""
ONE = """
rule one:
    output: "one"
    shell: "{command}"
"""


class Run:
    """Snakemake on a workflow, in a session of its own, and all processes that come of it."""

    def __init__(self, folder: Path, workflow: str, mended: bool = True, cores: int = 4):
        source = MENDED.format(source=str(SOURCE)) if mended else ""
        (folder / "Snakefile").write_text(source + workflow)
        self.folder, self.cores, self.mark = folder, cores, str(uuid.uuid4())
        self.variables = {key: value for key, value in os.environ.items() if not key.startswith("SNAKEMAKE")}

    def start(self, *options: str, before: tuple[str, ...] = ()) -> "Run":
        command = [*before, sys.executable, "-m", "snakemake", "--cores", str(self.cores), "--nocolor", *options]
        with open(self.folder / "log", "a") as log:
            self.process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=self.variables | {"MARK": self.mark},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self

    def ask(self, number: int) -> float:
        """Ask the run to end; return the seconds that it took."""
        began = time.monotonic()
        self.process.send_signal(number)
        try:
            self.process.wait(30)
        finally:
            took = time.monotonic() - began
            left = bearing(self.mark)
            while left and time.monotonic() < began + took + 1:  # one that was killed this moment is still there
                time.sleep(0.05)
                left = bearing(self.mark)
            for process in left:
                process.kill()
            self.process.wait()
        assert not left, left
        return took

    def locks(self) -> list[Path]:
        return list((self.folder / ".snakemake/locks").glob("*"))

    def log(self) -> str:
        return (self.folder / "log").read_text()


def endings(folder: Path, seed: int, count: int) -> None:
    """Ask a run again and again, at moments by chance; some come before its first job."""
    chance = random.Random(seed)
    run = Run(folder, QUICK)
    for number in range(count):
        log, made = folder / "log", len(list(folder.glob("*.made")))
        if made > 700:
            shutil.rmtree(folder / ".snakemake")
            for file in folder.glob("*.made"):
                file.unlink()
        log.unlink(missing_ok=True)
        run.start("--rerun-incomplete")
        if number % 5:
            wait_for(lambda: run.log().count("Execute") or run.process.poll() is not None)
        time.sleep(chance.uniform(0, 1.5))
        how = chance.choice([signal.SIGTERM, *ASKING])
        took = run.ask(how)
        assert took < 10, (took, run.log()[-4000:])
        assert not run.locks()
        # before the workflow is read Python itself ends; it says 1 of a Ctrl-C
        assert run.process.returncode in (128 + how, -how, 1 if how == signal.SIGINT else -how), run.log()[-4000:]
        assert number % 5 == 0 or run.process.returncode == 128 + how
    (folder / "Snakefile").write_text((folder / "Snakefile").read_text().replace("range(1000)", "range(40)"))
    run.start("--rerun-incomplete")
    assert run.process.wait(120) == 0, run.log()[-4000:]


def test_asked_at_any_moment_it_ends_and_the_next_call_goes_on(tmp_path):
    endings(tmp_path, seed=1, count=4)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_asked_fifty_times(tmp_path, tell):
    began = time.monotonic()
    endings(tmp_path, seed=2, count=50)
    tell(f"asked to end at random moments: 50 times, none took 10 s; {time.monotonic() - began:.0f} s in all")


@pytest.mark.parametrize("how", ASKING)
def test_a_job_has_time_to_save(tmp_path, how):
    (tmp_path / "job.sh").write_text(
        "trap 'sleep 1; touch saved; exit 1' TERM; touch begun; while :; do sleep 0.1; done"
    )
    run = Run(tmp_path, ONE.format(command="sh job.sh")).start()
    wait_for((tmp_path / "begun").exists)
    assert run.ask(how) < 8
    assert (tmp_path / "saved").exists()
    assert run.process.returncode == 128 + how
    assert f"Asked to end ({signal.Signals(how).name})" in run.log()
    assert not run.locks()


STUBBORN = """trap "" TERM INT HUP; sleep 600 & touch begun; wait; sleep 600"""


def test_a_job_that_does_not_end_is_killed_with_all_that_it_started(tmp_path):
    (tmp_path / "job.sh").write_text(STUBBORN)
    run = Run(tmp_path, ONE.format(command="setsid sh job.sh")).start()
    wait_for((tmp_path / "begun").exists)
    assert 4 < run.ask(signal.SIGTERM) < 10
    assert run.process.returncode == 128 + signal.SIGTERM
    assert not run.locks()


def test_a_second_signal_ends_at_once(tmp_path):
    (tmp_path / "job.sh").write_text(STUBBORN)
    run = Run(tmp_path, ONE.format(command="sh job.sh")).start()
    wait_for((tmp_path / "begun").exists)
    run.process.send_signal(signal.SIGINT)
    run.process.send_signal(signal.SIGTERM)  # one that comes together with the first is no second one
    time.sleep(1.5)
    assert run.process.poll() is None
    assert run.ask(signal.SIGINT) < 2
    assert run.process.returncode in (128 + signal.SIGINT, 128 + signal.SIGTERM)  # of two at once, either is the first
    assert not run.locks()


def test_a_main_thread_that_stands_still_does_not_hold_the_end_up(tmp_path):
    """As when Snakemake's own handler waits for the lock that it has interrupted the holder of."""
    stands = """
onstart:
    import threading
    workflow.scheduler._lock.acquire()
    open("begun", "w").close()
"""
    run = Run(tmp_path, ONE.format(command="sleep 600") + stands).start()
    wait_for((tmp_path / "begun").exists)
    time.sleep(0.5)
    assert run.ask(signal.SIGTERM) < 10
    assert run.process.returncode == 128 + signal.SIGTERM
    assert not run.locks()


@pytest.mark.parametrize("how", [signal.SIGHUP, signal.SIGINT])
def test_what_the_parent_ignores_stays_ignored(tmp_path, how):
    """`nohup`, and a shell's background."""
    workflow = ONE.format(command="touch begun; sleep 2; touch {output}")
    ignoring = ("sh", "-c", f'trap "" {signal.Signals(how).name[3:]}; exec "$@"', "sh")
    run = Run(tmp_path, workflow).start(before=ignoring)
    wait_for((tmp_path / "begun").exists)
    run.process.send_signal(how)
    assert run.process.wait(60) == 0, run.log()
    assert (tmp_path / "one").exists()


def test_a_dry_run_is_left_as_it_is(tmp_path):
    """A command that makes one in its own process can be ended afterwards."""
    code = """
    import sys, signal
    from snakemake.cli import main
    try:
        main(["--dry-run", "--cores", "1"])
    except SystemExit:
        pass
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    assert signal.getsignal(signal.SIGINT) == signal.default_int_handler
    """
    Run(tmp_path, ONE.format(command="touch {output}"))
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_without_the_repair_its_jobs_go_on(tmp_path):
    """What Snakemake does by itself is watched too: should it mend that, the repair can go."""
    run = Run(tmp_path, ONE.format(command="touch begun; sleep 20"), mended=False).start()
    wait_for((tmp_path / "begun").exists)
    run.process.send_signal(signal.SIGTERM)
    with pytest.raises(subprocess.TimeoutExpired):
        run.process.wait(10)
    assert run.locks()
    for process in bearing(run.mark):
        process.kill()
    run.process.wait()
