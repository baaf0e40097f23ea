"""What holds for every test, and the figures that a run prints at its end."""

import os
import shutil
import signal
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


# What takes longest begins first, so that no worker is left alone with it at the end. The finished run is made by one
# worker while the others have tests that do not wait for it.
ORDER = (
    "tests/slurm",
    "tests/workflow/test_chaos.py",
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
    """Keep on one worker the tests that share what is dear to make: those on SLURM its cluster, others their module's.

    Tests of the workflow go to whichever worker is free: the finished run that they share lies on the disk.
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByFolder(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            if nodeid.startswith("tests/workflow"):
                return nodeid
            return "tests/slurm" if nodeid.startswith("tests/slurm") else nodeid.split("::")[0]

    return ByFolder(config, log)


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


def pytest_terminal_summary(terminalreporter) -> None:
    """Print what tests told, and how many edits the staleness table has."""
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
