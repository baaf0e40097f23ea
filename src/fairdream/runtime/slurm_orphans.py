"""SLURM jobs of this folder that no run waits for: those that a killed Snakemake left in the queue.

Snakemake does not find its jobs again after a SIGKILL or a reboot. They run on, and a new run would submit the same
work beside them. So a run that starts while some are alive stops and names them, or cancels them when told to.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from fairdream.errors import UserError

VARIABLE = "FAIRDREAM_ORPHANS"
CHOICES = ("", "cancel", "ignore")
PATIENCE = 90  # seconds: SLURM gives a cancelled job 30 to end


def live_jobs(folder: str | Path, expected: bool = True) -> dict[str, str]:
    """Return the ids of this user's live jobs that Snakemake submitted from a folder, with state and rule.

    The executor's jobs are told by their comment, ``rule_NAME…``; the allocation in which Snakemake itself may run has
    none. Where SLURM is `expected`, it is told when it does not answer.
    """
    if shutil.which("squeue") is None:
        return {}
    command = ["squeue", "--me", "--noheader", "--format", "%i|%T|%k|%Z"]
    try:
        listed = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except subprocess.TimeoutExpired:
        listed = subprocess.CompletedProcess(command, 1, "", "no answer in a minute")
    if listed.returncode != 0:
        if expected:
            said = listed.stderr.strip()
            print(f"squeue cannot tell whether jobs of a killed run are alive: {said}", file=sys.stderr)
        return {}
    jobs = {}
    for line in listed.stdout.splitlines():
        number, state, comment, home = line.split("|", 3)
        if comment.startswith("rule_") and Path(home).resolve() == Path(folder).resolve():
            jobs[number] = f"{state.lower()}, {comment.removeprefix('rule_').split('_wildcards_')[0]}"
    return jobs


def check(folder: str | Path, expected: bool = True) -> bool:
    """Stop when jobs of an earlier run are alive; cancel them first where the environment says so.

    A program of that name that answers nothing, on a machine whose run is not `expected` to use SLURM, is passed over.

    Returns
    -------
    bool
        Whether jobs were cancelled. Snakemake removes what a cancelled job has made, even if it was just complete.

    Raises
    ------
    UserError
        With each job, and the lines that cancel them.
    """
    choice = os.environ.get(VARIABLE, "")
    if choice not in CHOICES:
        raise UserError(f"{VARIABLE} is {choice!r}; allowed: cancel, ignore, or unset")
    jobs = live_jobs(folder, expected)
    if not jobs or choice == "ignore":
        return False
    if choice == "cancel":
        # of jobs that ended meanwhile scancel complains; whether any is left is seen below
        subprocess.run(["scancel", *jobs], capture_output=True, timeout=60)
        deadline = time.monotonic() + PATIENCE
        while jobs and time.monotonic() < deadline:
            time.sleep(1)
            jobs = live_jobs(folder)
        if not jobs:
            return True
    shown = "\n".join(f"  {number}: {what}" for number, what in list(jobs.items())[:20])
    more = f"\n  and {len(jobs) - 20} more" if len(jobs) > 20 else ""
    raise UserError(
        f"{len(jobs)} SLURM job(s) of this folder are alive, of a run that is going or was killed:\n{shown}{more}\n"
        "If that run is still going, let it. If it was killed, cancel its jobs; what they have saved is used again:\n"
        f"  scancel {' '.join(jobs)}\n"
        f"or start with {VARIABLE}=cancel in the environment, which does it first ({VARIABLE}=ignore: leave them)."
    )
