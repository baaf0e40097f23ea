"""A SLURM cluster for the whole test session, and the one way to run something on it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import processes
import pytest
import yaml
from cluster import Cluster, missing_daemons

ROOT = Path(__file__).resolve().parents[2]
# What a run needs of the repository: a copy, so that its results and locks stay apart from the user's.
PARTS = ["Snakefile", "config", "envs", "profiles", "requirements.lock", "resources", "rules", "src", "workflow"]

# Turnaround of a test job, not of a real one: the executor first asks for a job's state after this time (40 s at
# default), and each time that nothing has finished it waits 10 s longer. The only thing that differs from a real run.
TEST_CLUSTER_OPTIONS = ["--slurm-init-seconds-before-status-checks", "8"]
# A job of its own for each adapter, in place of the profile's groups: for tests of what befalls a single training.
UNGROUPED = ["--groups", "none=none"]
# Several trainings at once on two cores; as many threads in the local run that a table is compared with.
ONE_THREAD = [
    "--set-threads",
    *(f"{rule}=1" for rule in ("embed", "finetune", "generate", "score", "pretrain", "retrain")),
]


def command(*targets: str) -> list[str]:
    """Return the command that makes targets on the cluster, for tests that interfere while it runs."""
    snakemake = [sys.executable, "-m", "snakemake", "--profile", "profiles/slurm", *targets]
    return [*snakemake, *TEST_CLUSTER_OPTIONS, *UNGROUPED, *ONE_THREAD]


def run_locally(project: Path, target: str, timeout: float = 1800) -> subprocess.CompletedProcess:
    """Make a target on this machine without a cluster: what a disturbed run must equal."""
    own = [sys.executable, "-m", "snakemake", "--profile", "profiles/default", "--cores", "2", target, *ONE_THREAD]
    variables = {key: value for key, value in os.environ.items() if not key.startswith(("SNAKEMAKE", "FAIRDREAM"))}
    return processes.run(*own, cwd=project, env=variables | {"PYTHONPATH": str(project / "src")}, timeout=timeout)


@pytest.fixture(scope="session")
def slurm_cluster() -> Iterator[dict[str, str]]:
    """Environment variables for the processes that talk to a running two-node cluster with two fake GPUs per node."""
    if missing := missing_daemons():
        pytest.skip(f"no SLURM on this machine ({', '.join(missing)} not found); Debian: slurm-wlm, munge")
    with Cluster() as cluster:
        yield cluster.env | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{cluster.env['PATH']}"}


@pytest.fixture
def on_cluster(slurm_cluster) -> Callable[..., subprocess.CompletedProcess]:
    """Run a command against the cluster, with a hard time limit: the executor's way to fail is to hang."""

    def run(*command: str, cwd: Path, timeout: float) -> subprocess.CompletedProcess:
        # The jobs of a run that is given up would go on beside the next test's.
        cancel = ["scancel", "--user", str(os.getuid())]
        return processes.run(*command, cwd=cwd, env=slurm_cluster, timeout=timeout, cleanup=cancel)

    return run


@pytest.fixture
def snakemake(on_cluster) -> Callable[..., subprocess.CompletedProcess]:
    """Run `snakemake --profile profiles/slurm` in a project folder on the cluster."""

    def run(*arguments: str, cwd: Path, timeout: float) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "snakemake", "--profile", "profiles/slurm", *arguments]
        return on_cluster(*command, *TEST_CLUSTER_OPTIONS, cwd=cwd, timeout=timeout)

    return run


def copy_project(folder: Path, steps: int | None = None, **values: object) -> Path:
    """Copy the project with the smallest configuration and one cluster per group; `values` replace its sections.

    `steps` is the length of a fine-tuning.
    """
    folder.mkdir(exist_ok=True)
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        else:
            shutil.copy2(ROOT / part, folder / part)
    config = yaml.safe_load((ROOT / "tests/workflow/smallest.yaml").read_text()) | values
    config["datasets"]["waterdigits"]["clusters"] = 1
    if steps:
        config["finetune"]["steps"] = steps
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    return folder
