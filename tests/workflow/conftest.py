"""A copy of the project at its smallest size, and Snakemake on it in a process of its own."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from processes import run

ROOT = Path(__file__).resolve().parents[2]
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
    project: Path, *arguments: str, profile: str = "default", warm: bool = False, timeout: float = 600
) -> subprocess.CompletedProcess:
    """Run Snakemake in a project; its output and errors together in `stdout`. All its processes end at the timeout."""
    command = [sys.executable, "-m", "snakemake", "--profile", f"profiles/{profile}", *arguments]
    if profile == "default":
        command += ["--cores", "2", "--set-threads", *ONE_THREAD]
    if warm:
        command = [sys.executable, "-m", "fairdream.warm", *command]
    variables = {key: value for key, value in os.environ.items() if not key.startswith(("SNAKEMAKE", "FAIRDREAM"))}
    variables |= {
        "PYTHONPATH": str(project / "src"),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    return run(*command, cwd=project, env=variables, timeout=timeout)


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
