"""The HTML report of a finished run: ``python -m fairdream.reporting --profile PROFILE``, or `make report`.

Draws what the report shows and is not there yet, seconds of work each, then has Snakemake write it. A run that is not
finished is not finished here: a report must not begin to train.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import subprocess
import sys
from collections import Counter
from pathlib import Path

from fairdream import planned, shutdown
from fairdream.errors import UserError
from fairdream.forecast import TARGETS, dry_run

TARGET = "report_parts"
STYLE = Path(__file__).resolve().parents[2] / "workflow/report/style.css"
LARGE = 200_000_000  # bytes of HTML that a browser takes long to open


def report(profile: str, output: Path | None, config: str | None = None) -> Path:
    """Write the report and return its path.

    Parameters
    ----------
    profile
        Snakemake's profile, which names the configuration.
    output
        An .html or .zip file; ``None``: `report.html` in the results folder.
    config
        A configuration file in the place of the profile's and of config.yaml.

    Raises
    ------
    UserError
        When jobs that ask for a GPU are still to be done, or Snakemake fails.
    """
    if output is not None and output.suffix not in (".html", ".zip"):
        raise UserError(f"{output}: a report is an .html file, or a .zip file where it is large")
    # with =, as a word that follows would be taken for another file
    chosen = ["--profile", profile, *([f"--configfile={config}"] if config else [])]
    planned_jobs = dry_run([*chosen, TARGET]).of("job_info")
    jobs = [job for job in planned_jobs if job.rule_name not in TARGETS]
    pending = Counter(job.rule_name for job in jobs if job.resources.get("gpu"))
    if pending:
        rules = ", ".join(f"{count} {rule}" for rule, count in pending.items())
        raise UserError(
            f"The run is not finished, or an edit made a part of it stale: {pending.total()} jobs that ask for a GPU "
            f"come first ({rules}). `snakemake {' '.join(chosen)}` does them, `make plan PROFILE={profile}"
            f"{f' CONFIG={config}' if config else ''}` tells why and what they take."
        )
    snakemake = [sys.executable, "-m", "snakemake", *chosen]
    if jobs:
        print(f"Making {len(jobs)} parts of the report that are not there yet", flush=True)
        # many small jobs on this machine: worth one import of the libraries for all, where no cluster runs them
        warm = [] if _on_cluster(profile) else [sys.executable, "-m", "fairdream.warm"]
        _run([*warm, *snakemake, TARGET], quiet=False)
    output = output or Path(planned.parsed().results, "report.html")
    output.parent.mkdir(parents=True, exist_ok=True)
    _run([*snakemake, "--report", str(output), "--report-stylesheet", str(STYLE), TARGET], quiet=True)
    return output


def _on_cluster(profile: str) -> bool:
    from snakemake.cli import parse_args

    with contextlib.redirect_stderr(io.StringIO()):  # it names the profiles
        return parse_args(["--profile", profile])[1].executor not in (None, "local")


def _run(command: list[str], quiet: bool) -> None:
    """Run a command; where it is quiet, show what it said if it fails."""
    pipe = subprocess.PIPE if quiet else None
    done = shutdown.run(command, stdout=pipe, stderr=subprocess.STDOUT if quiet else None)
    if done.returncode:
        raise UserError(f"{done.stdout or ''}\n{' '.join(command)} failed")


def main(arguments: list[str]) -> None:
    """Write a report and tell where it is."""
    parser = argparse.ArgumentParser(prog="python -m fairdream.reporting", description="Write the report of a run.")
    parser.add_argument("--profile", required=True)
    parser.add_argument("--configfile", help="in the place of the profile's")
    parser.add_argument("--output", type=Path, help="an .html or .zip file; report.html in the results folder")
    options = parser.parse_args(arguments)
    path = report(options.profile, options.output, options.configfile)
    size = path.stat().st_size
    print(f"{path}: {size / 1e6:,.1f} MB, opens in any browser, without a network.")
    if path.suffix == ".html" and size > LARGE:
        print(
            f"Browsers take long to open so much at once: `make report REPORT={path.with_suffix('.zip')}` is lighter."
        )


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UserError as error:
        raise SystemExit(str(error)) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
