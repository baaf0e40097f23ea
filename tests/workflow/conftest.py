"""A copy of the project at its smallest size, and Snakemake on it in a process of its own."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from filelock import FileLock
from processes import run

ROOT = Path(__file__).resolve().parents[2]
SMALLEST = ROOT / "tests/workflow/smallest.yaml"
needs_models = pytest.mark.skipif(
    not all((ROOT / "resources" / name).is_dir() for name in ("tiny-sd", "tiny-clip")),
    reason="resources/tiny-sd and resources/tiny-clip are not there",
)
PARTS = (
    "Snakefile",
    "rules",
    "workflow",
    "src",
    "envs",
    "profiles",
    "config",
    "resources",
    "requirements.lock",
)
# two jobs of one thread each, as in the demo
ONE_THREAD = [
    f"{rule}=1"
    for rule in ("embed", "finetune", "generate", "score", "pretrain", "retrain", "manifest", "index", "subjects")
]


def copy_project(folder: Path, config: Path) -> Path:
    """Copy what a run reads into a folder, with another configuration."""
    folder.mkdir(parents=True)
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        elif source.exists():
            shutil.copy(source, folder / part)
    shutil.copy(config, folder / "config.yaml")
    return folder


def run_snakemake(
    project: Path, *arguments: str, profile: str = "default", warm: bool = False, timeout: float = 600, **own: str
) -> subprocess.CompletedProcess:
    """Run Snakemake in a project; its output and errors together in `stdout`. All its processes end at the timeout.

    Of the environment variables of Snakemake and FairDream it sees only its `own`.
    """
    command = [sys.executable, "-m", "snakemake", "--profile", f"profiles/{profile}", *arguments]
    if profile == "default":
        command += ["--cores", "2", "--set-threads", *ONE_THREAD]
    if warm:
        command = [sys.executable, "-m", "fairdream.runtime.warm_server", *command]
    variables = {key: value for key, value in os.environ.items() if not key.startswith(("SNAKEMAKE", "FAIRDREAM"))}
    variables |= {
        "PYTHONPATH": str(project / "src"),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    return run(*command, cwd=project, env=variables | own, timeout=timeout)


@pytest.fixture
def project(tmp_path) -> Path:
    """The project at its smallest size, without results."""
    return copy_project(tmp_path / "project", ROOT / "tests/workflow/smallest.yaml")


@pytest.fixture
def paper(tmp_path) -> Path:
    """The project with the paper's configuration, without data."""
    return copy_project(tmp_path / "project", ROOT / "config.yaml")


@pytest.fixture
def snakemake() -> Callable[..., subprocess.CompletedProcess]:
    return run_snakemake


def planned(output: str) -> Counter:
    """The number of jobs of each rule in the job table that Snakemake prints first."""
    table = re.search(r"^job\s+count\n-[- ]+\n(.*?)\n\n", output, re.M | re.S)
    if table is None:
        return Counter()
    rows = [line.split() for line in table[1].splitlines()]
    return Counter({name: int(count) for name, count in rows if name not in ("total", "all")})


def message_patterns() -> dict[str, re.Pattern]:
    """Each rule's message as a pattern: how Snakemake names a job on the screen."""
    patterns = {}
    for file in (ROOT / "rules").glob("*.smk"):
        blocks = re.split(r"^(?=rule |checkpoint )", file.read_text(), flags=re.M)[1:]
        for block in (own for own in blocks if "    script:" in own):  # a target runs nothing
            message = re.search(r'^    message:\n        "(.+)"$', block, re.M)[1]
            text = re.sub(r"\\{wildcards\\.(\w+)\\}", r"(?P<\1>[^ ,()]+)", re.escape(message))
            patterns[re.match(r"\w+ (\w+)", block)[1]] = re.compile(text)
    return patterns


MESSAGES = message_patterns()


class Job(NamedTuple):
    """A job: its rule and what its message tells of it."""

    rule: str
    message: str

    @property
    def wildcards(self) -> dict[str, str]:
        return MESSAGES[self.rule].fullmatch(self.message).groupdict()


def jobs_in(output: str) -> set[Job]:
    """The jobs that a dry run lists or a run starts."""
    jobs = set()
    for message in re.findall(r"^Job \d+: (.+)$", output, re.M):
        (rule,) = [rule for rule, pattern in MESSAGES.items() if pattern.fullmatch(message)]
        jobs.add(Job(rule, message))
    return jobs


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A project that has run to Table 1, with the output of its dry run and of its run. Not to be edited.

    One worker makes it, and the others wait for it.
    """
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder, told = shared / "finished", shared / "finished.json"
    with FileLock(shared / "finished.lock"):
        if not told.is_file():
            shutil.rmtree(folder, ignore_errors=True)  # of a worker that failed
            project = copy_project(folder / "project", SMALLEST)
            dry = run_snakemake(project, "-n", timeout=240)
            assert dry.returncode == 0, dry.stdout
            done = run_snakemake(project, warm=True, timeout=1700)
            assert done.returncode == 0, done.stdout[-6000:]
            told.write_text(json.dumps([dry.stdout, done.stdout]))
    return folder / "project", *json.loads(told.read_text())


@pytest.fixture
def rerun(finished, tmp_path):
    """A copy of the finished project that a test may edit, and the logs of the jobs that a dry run then lists."""
    project = tmp_path / "again"
    # time stamps too: they are what Snakemake looks at
    shutil.copytree(finished[0], project, symlinks=True)

    def jobs() -> set[Job]:
        done = run_snakemake(project, "-n", timeout=240)
        assert done.returncode == 0, done.stdout
        found = jobs_in(done.stdout)
        assert Counter(job.rule for job in found) == planned(done.stdout)
        assert bool(found) != ("Nothing to be done" in done.stdout)
        return found

    return project, jobs
