"""What holds for every test, and the figures that a run prints at its end."""

import os
import resource
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

# Before any library reads them: threads that wait for each other on a busy machine turn seconds into minutes.
for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

# A shell's background and `nohup` have these ignored, and so would every process that a test starts and asks to end.
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


BEGAN = pytest.StashKey[tuple[float, float]]()

# What takes longest begins first, so that no worker is left alone with it at the end. The finished run is made by one
# worker while the others have tests that do not wait for it.
ORDER = (
    "tests/slurm/test_faults.py",
    "tests/slurm/test_lost_jobs.py",
    "tests/workflow/test_chaos.py",
    "tests/slurm",
    "tests/workflow/test_workflow.py::test_the_table_and_every_kind_of_output_are_there",
    "tests/unit/runtime",
    "tests/unit/models",
    "tests/workflow",
    "tests",
)


def pytest_collection_modifyitems(items) -> None:
    """Sort the tests by `ORDER`; otherwise they stay as they are."""
    items.sort(key=lambda item: next(n for n, start in enumerate(ORDER) if item.nodeid.startswith(start)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Keep on one worker the tests that share what their module makes.

    Tests of the workflow go to whichever worker is free: the finished run that they share is on the disk. Each worker
    that gets a file of `tests/slurm` starts a cluster of its own in seconds, as these tests are the longest, and wait.
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByModule(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return nodeid if nodeid.startswith("tests/workflow") else nodeid.split("::")[0]

    return ByModule(config, log)


@pytest.fixture(autouse=True)
def _no_run_s_environment(monkeypatch) -> None:
    """No test hands the next one the plan of its run: `planned.record` writes into this process's environment."""
    for name in ("FAIRDREAM_PLAN", "FAIRDREAM_ALLOCATION"):
        monkeypatch.setenv(name, "")  # what was not there before is removed afterwards, whatever the test makes of it
        monkeypatch.delenv(name)


@pytest.fixture
def tell(request) -> Callable[[str], None]:
    """Keep a figure for the end of the run: what was survived, counted or measured."""
    return lambda text: request.node.user_properties.append(("figure", text))


def cpu_seconds() -> float:
    """CPU time of this process and of those that it started and waited for; not of SLURM's jobs."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(own.ru_utime + own.ru_stime for own in used)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    """Note what a test takes, with its set-up and its end."""
    item.stash[BEGAN] = time.monotonic(), cpu_seconds()
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    if call.when == "teardown":
        wall, cpu = item.stash[BEGAN]
        item.user_properties.append(("took", (time.monotonic() - wall, cpu_seconds() - cpu)))
    return (yield)


def print_times(terminalreporter) -> None:
    """Print minutes by file, those that the longest took first."""
    wall, cpu = Counter(), Counter()
    for report in terminalreporter.getreports(""):
        file = report.nodeid.split("::")[0]
        for name, took in report.user_properties:
            if name == "took":
                wall[file] += took[0]
                cpu[file] += took[1]
    if wall.total() < 60:
        return
    terminalreporter.section("minutes by file: all, CPU (without SLURM's jobs)")
    for file, seconds in wall.most_common(20):
        terminalreporter.line(f"{seconds / 60:6.1f} {cpu[file] / 60:6.1f}  {file}")
    terminalreporter.line(f"{wall.total() / 60:6.1f} {cpu.total() / 60:6.1f}  all {len(wall)}")


def pytest_terminal_summary(terminalreporter) -> None:
    """Print what tests told, how many edits the staleness table has, and where the time went."""
    print_times(terminalreporter)
    passed = terminalreporter.getreports("passed")
    told = [text for report in passed for name, text in report.user_properties if name == "figure"]
    if told:
        terminalreporter.section("figures")
        for text in dict.fromkeys(told):
            terminalreporter.line(text)


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """An empty project with the paper's configuration, as `make new-dataset` is called in."""
    (tmp_path / "config").mkdir()
    shutil.copy(Path(__file__).resolve().parents[1] / "config.yaml", tmp_path)
    (tmp_path / "profiles").mkdir()
    (tmp_path / "Snakefile").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path
