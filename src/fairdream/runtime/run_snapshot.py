"""What was planned when a run began, so that an edit made meanwhile is never recorded as the old plan's result.

Jobs wait in a queue for hours, and a job on another node parses the workflow again when it starts. The process in which
the run was started writes its configuration and the digests of its code into a file and hands its path down in the
environment. A job takes its configuration from there, so editing `config.yaml` during a run changes the next run alone.
Code cannot be handed down like that: a job whose script, or a module of it, was edited stops and says so.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairdream.errors import UserError
from fairdream.identity import digest
from fairdream.runtime.code_digest import code_digest, code_files, locked_versions
from fairdream.runtime.files import write_text

if TYPE_CHECKING:
    from fairdream.config.root import Config

VARIABLE = "FAIRDREAM_PLAN"
ALLOCATION = "FAIRDREAM_ALLOCATION"
_parsed: list[Config] = []


def record(
    folder: Path,
    config: dict[str, Any],
    scripts: Iterable[Path],
    package: Path,
    lock: Path,
    adapters: dict[str, dict[str, dict[str, Any]]] | None = None,
) -> None:
    """Write the plan of the run that starts in this process, and name it in the environment.

    Parameters
    ----------
    folder
        Where plans are kept; one file a different plan.
    config
        The configuration as it was read.
    scripts, package
        The rules' scripts and the folder of the `fairdream` package.
    lock
        `requirements.lock`.
    adapters
        The adapters that the run may train: ``DATASET/BIAS/METHOD`` -> subject -> the job's `cfg`.
    """
    code: dict[str, str] = {}
    files: dict[str, str] = {}
    for script in scripts:
        code[script.name] = code_digest(script, package, lock)
        files |= code_files(script, package)
    versions = locked_versions(lock)
    plan = {"config": config, "code": code, "files": files, "lock": versions, "adapters": adapters or {}}
    path = (folder / f"{digest(plan)[:16]}.json").resolve()
    if path.is_file():
        path.touch()  # its time is the beginning of the last run
    else:
        write_text(path, json.dumps(plan))
    os.environ[VARIABLE] = str(path)


def keep(config: Config, alone: bool = False) -> None:
    """Keep the configuration that this process parsed, with what its command line changed in it, for `parsed`.

    Parameters
    ----------
    alone
        Whether a second configuration is refused: a workflow that has FairDream as a module twice would hand the last
        one's plan to the jobs of both.

    Raises
    ------
    UserError
        A second configuration, where `alone` says so.
    """
    if alone and _parsed and _parsed[0] != config:
        raise UserError("FairDream is a module of this workflow twice, with two configurations: run them one by one.")
    _parsed[:] = [config]


def parsed() -> Config:
    """Return the configuration of the workflow that this process parsed: `fairdream plan` runs Snakemake in its own."""
    return _parsed[0]


def configuration() -> dict[str, Any]:
    """Return the configuration of the run that this job belongs to.

    Raises
    ------
    UserError
        When no plan was handed down.
    """
    plan = _read()
    if plan is None:
        raise UserError(
            f"{VARIABLE} was not handed down to this job, so it cannot know what its run began with: let the executor "
            "export the environment (sbatch does, unless SBATCH_EXPORT or a site's rule forbids it); and a workflow "
            "that uses FairDream as a module needs `onstart: fairdream.onstart()`, see docs/module.md"
        )
    return plan["config"]


def allocation(named: Iterable[str]) -> list[str]:
    """Return the jobs that train in this allocation of a cluster, each as ``DATASET/BIAS/METHOD/SUBJECT``.

    Each job of a group runs in a Snakemake of its own, started by the group's, which alone knows them all: the first
    one that asks hands down what it was named.
    """
    os.environ.setdefault(ALLOCATION, " ".join(named))
    return os.environ[ALLOCATION].split()


def mates(wildcards: dict[str, str], within: str) -> dict[str, dict[str, Any]]:
    """Return the subjects that this run trains for a data set, bias and method -> their jobs' `cfg`.

    Parameters
    ----------
    wildcards
        A `finetune` job's.
    within
        ``all``, or the subjects of which jobs run in this allocation, with commas between: the others are theirs who
        got an allocation for them.

    Returns
    -------
    dict
        Empty when no plan was handed down: a job then trains alone.
    """
    plan = _read()
    found = plan["adapters"].get("/".join(wildcards[key] for key in ("dataset", "bias", "method")), {}) if plan else {}
    return {name: cfg for name, cfg in found.items() if within == "all" or name in within.split(",")}


def check_installed(lock: Path) -> None:
    """Compare the libraries of this environment with the lock, whose versions are what a result is recorded under.

    Raises
    ------
    UserError
        Names each library that is installed in another version, as after a `git pull` without `make setup`.
    """
    from importlib.metadata import PackageNotFoundError, version

    other = []
    for name, locked in locked_versions(lock).items():
        try:
            found = version(name).split("+")[0]  # 2.13.0+cu130 is a build of 2.13.0
        except PackageNotFoundError:
            continue  # the jobs' own environment has it
        if found != locked:
            other.append(f"{name} {found} (locked: {locked})")
    if other:
        raise UserError(
            f"Installed in another version than {lock.name} says: {', '.join(other)}. Run `make setup`; or, to stay "
            "with what is installed, write its version into the lock: results are recorded under it."
        )


def check_code(expected: str, script: Path, package: Path, lock: Path) -> None:
    """Stop a job whose code is not what the run was planned with.

    Parameters
    ----------
    expected
        The job's `code` param: the digest that is recorded with its outputs.

    Raises
    ------
    UserError
        Names the files that changed.
    """
    plan = _read()
    now = code_digest(script, package, lock)
    # on another node `expected` was made of the code as it is now; the plan of an older release has none of this name
    if now == expected == (plan.get("code", {}).get(script.name) if plan else now):
        return
    changed = []
    if plan:
        files = code_files(script, package).items()
        changed = [os.path.relpath(path) for path, value in files if plan["files"].get(path, value) != value]
        changed += [os.path.relpath(lock)] if plan["lock"] != locked_versions(lock) else []
    raise UserError(
        f"{', '.join(sorted(changed)) or 'the code'} changed after this run began. The job stops, so that the new "
        "code's result is not recorded as the old one's. Start the run again to take up the edit, or undo it."
    )


def _read() -> dict[str, Any] | None:
    path = os.environ.get(VARIABLE)
    if not path:
        return None
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(
            f"{path}: the plan of this run cannot be read ({error.strerror}). It says what the run began with, so no "
            "job continues without it: start the run again."
        ) from None
