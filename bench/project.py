"""A copy of what a run reads of the project, for benchmarks that run Snakemake in it."""

from __future__ import annotations

import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("Snakefile", "rules", "workflow", "src", "envs", "profiles", "config", "requirements.lock")


def copy_project(folder: Path, *more: str) -> Path:
    """Copy the workflow, and `more` files or folders of the project, into a new folder; return it."""
    folder.mkdir(parents=True)
    for part in (*PARTS, *more):
        if (ROOT / part).is_dir():
            # time stamps too: they are what Snakemake looks at
            ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
            shutil.copytree(ROOT / part, folder / part, symlinks=True, ignore=ignored)
        else:
            shutil.copy2(ROOT / part, folder / part)
    return folder
