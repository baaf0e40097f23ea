"""The record of a run: its configuration, and the software, models and data that its results are of."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml

from fairdream import __version__
from fairdream.config.base import Section
from fairdream.identity import digest, file_digest
from fairdream.models.weights import model_identity
from fairdream.runtime.code_digest import RESULT_LIBRARIES
from fairdream.runtime.files import write_text

ROOT = Path(__file__).resolve().parents[3]
LIBRARIES = sorted({*RESULT_LIBRARIES.values(), "snakemake", "numpy", "pandas", "pillow", "pyarrow", "safetensors"})


class ProvenanceJob(Section):
    """What the run was asked for."""

    configuration: dict[str, Any]
    counts: dict[str, dict[str, dict[str, int]]]  # data set -> bias -> group -> training images
    origins: dict[str, str]
    sources: dict[str, str]  # role of a model -> what the configuration names


def provenance(models: dict[str, str], configuration: str, versions: str, config: ProvenanceJob) -> None:
    """Write two Markdown files.

    Parameters
    ----------
    models
        Role -> manifest of a model.
    configuration
        Output: the configuration as YAML, with the values that were left to their defaults.
    versions
        Output: software, models with a digest of their files, data with the images of each group.
    """
    # lists and the innermost sections in one line each, as the shipped configurations have them
    text = yaml.safe_dump(config.configuration, default_flow_style=None, allow_unicode=True, width=110)
    head = "As it was read, with what was left to its default. Every value is explained in `config.yaml`."
    write_text(configuration, f"{head}\n\n```yaml\n{text}```\n")
    write_text(versions, "\n".join([*_software(), *_models(models, config.sources), *_data(config)]) + "\n")


def _software() -> list[str]:
    rows = [("FairDream", __version__), ("its commit", commit()), ("Python", platform.python_version())]
    rows += [("operating system", platform.platform())]
    rows += [(name, _installed(name)) for name in LIBRARIES]
    rows += [("requirements.lock, SHA-256", _lock())]
    return ["## Software", "", "| | version |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in rows), ""]


def commit() -> str:
    """Return the commit that the code is of, with a mark where files were edited since; a dash where git knows none."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return "–"
    return done.stdout.strip() or "–"


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "in the jobs' own environment"


def _lock() -> str:
    path = ROOT / "requirements.lock"
    return file_digest(path) if path.is_file() else "–"


def _models(manifests: dict[str, str], sources: dict[str, str]) -> list[str]:
    lines = ["## Models", "", "| role | model | files | digest of their SHA-256 |", "| --- | --- | ---: | --- |"]
    for role, manifest in manifests.items():
        files = model_identity(manifest)
        lines.append(f"| {role} | {sources[role]} | {len(files)} | {digest(files)[:16] if files else '–'} |")
    return [*lines, ""]


def _data(config: ProvenanceJob) -> list[str]:
    lines = ["## Training images", ""]
    for dataset, biases in config.counts.items():
        groups = sorted({group for counts in biases.values() for group in counts})
        lines += [f"**{dataset}**: {config.origins[dataset].strip()}", ""]
        lines += ["| bias | " + " | ".join(groups) + " |", "| --- |" + " ---: |" * len(groups)]
        for bias, counts in biases.items():
            lines.append(f"| {bias} | " + " | ".join(f"{counts.get(group, 0):,}" for group in groups) + " |")
        lines.append("")
    return lines
