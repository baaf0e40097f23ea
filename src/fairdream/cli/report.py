"""The HTML report of a finished run.

Draws what the report shows and is not there yet, seconds of work each, then has Snakemake write it. A run that is not
finished is not finished here: a report must not begin to train.
"""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

from fairdream.cli.plan import TARGETS, dry_run
from fairdream.cli.run_snakemake import parsed
from fairdream.cli.runs import Run
from fairdream.errors import UserError
from fairdream.runtime import run_snapshot, shutdown

TARGET = "report_parts"
STYLE = Path(__file__).resolve().parents[3] / "workflow/report/style.css"
LARGE = 200_000_000  # bytes of HTML that a browser takes long to open


def report(run: Run, output: Path | None) -> Path:
    """Write the report and return its path.

    Parameters
    ----------
    output
        An .html or .zip file; ``None``: `report.html` in the results folder.

    Raises
    ------
    UserError
        When jobs that ask for a GPU are still to be done, or Snakemake fails.
    """
    if output is not None and output.suffix not in (".html", ".zip"):
        raise UserError(f"{output}: a report is an .html file, or a .zip file where it is large")
    planned_jobs = dry_run(run.arguments(TARGET)).of("job_info")
    jobs = [job for job in planned_jobs if job.rule_name not in TARGETS]
    pending = Counter(job.rule_name for job in jobs if job.resources.get("gpu"))
    if pending:
        rules = ", ".join(f"{count} {rule}" for rule, count in pending.items())
        raise UserError(
            f"The run is not finished, or an edit made a part of it stale: {pending.total()} jobs that ask for a GPU "
            f"come first ({rules}). `fairdream run {run.words}` does them, `fairdream plan {run.words}` shows why and "
            "what they take."
        )
    snakemake = [sys.executable, "-m", "snakemake"]
    if jobs:
        print(f"Making {len(jobs)} parts of the report that are not there yet", flush=True)
        # many small jobs on this machine: worth one import of the libraries for all, where no cluster runs them
        on_cluster = parsed(run.arguments()).executor not in (None, "local")
        warm = [] if on_cluster else [sys.executable, "-m", "fairdream.runtime.warm_server"]
        _run([*warm, *snakemake, *run.arguments(TARGET)], quiet=False)
    output = output or Path(run_snapshot.parsed().results, "report.html")
    output.parent.mkdir(parents=True, exist_ok=True)
    style = ("--report-stylesheet", str(STYLE))
    _run([*snakemake, "--report", str(output), *style, *run.arguments(TARGET)], quiet=True)
    return output


def _run(command: list[str], quiet: bool) -> None:
    """Run a command; where it is quiet, show what it said if it fails."""
    pipe = subprocess.PIPE if quiet else None
    done = shutdown.run(command, stdout=pipe, stderr=subprocess.STDOUT if quiet else None)
    if done.returncode:
        raise UserError(f"{done.stdout or ''}\n{' '.join(command)} failed")


def show(run: Run, output: Path | None) -> None:
    """Write a report and tell where it is."""
    path = report(run, output)
    size = path.stat().st_size
    print(f"{path}: {size / 1e6:,.1f} MB, opens in any browser, without a network.")
    if path.suffix == ".html" and size > LARGE:
        zipped = path.with_suffix(".zip")
        print(
            f"Browsers take long to open so much at once: `fairdream report {run.words} --output {zipped}` is lighter."
        )
