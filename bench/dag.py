"""How long Snakemake needs for the paper's whole DAG, and for one ten times as large: `python bench/dag.py`.

Made-up tables of the published sizes stand in for the data sets, so nothing but the data is missing. Each size is a
dry run of `results/tables/table1.csv` in a process of its own, as a user waits for it: wall time, CPU time (the wall
time of an idle machine) and peak memory of `snakemake -n`, jobs, and what one cluster job pays before its work begins
(a start of Python that parses the workflow). Of several runs the least counts, as what disturbs a run lengthens it.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import yaml
from project import ROOT, copy_project
from rows import Row, add

TARGET = "results/tables/table1.csv"
MOST = {1: 10.0, 10: 90.0}  # seconds that a dry run may take, by copies


def project(folder: Path, copies: int) -> Path:
    """Copy the workflow with the paper's configuration, its data sets `copies` times under names of their own."""
    copy_project(folder)
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    named = {}
    for name, own in config["datasets"].items():
        for number in range(copies):
            copy = dict(own, folder=own["folder"] + (f"{number}" if number else ""))
            named[name + (f"{number}" if number else "")] = copy
            tables = folder / copy["folder"]
            tables.mkdir(parents=True, exist_ok=True)
            for table in own["tables"]:
                (tables / table["file"]).write_text("read by the first job\n")
    config["datasets"] = named
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    return folder


class Run(NamedTuple):
    """What one call of Snakemake took: seconds of wall and of CPU time, peak memory in MB; and its output."""

    wall: float
    cpu: float
    memory: float
    text: str


def run(folder: Path, *arguments: str) -> Run:
    """Run Snakemake in a project and measure it."""
    command = [sys.executable, "-m", "snakemake", "--profile", "profiles/default", "--cores", "2", *arguments]
    variables = {key: value for key, value in os.environ.items() if not key.startswith(("SNAKEMAKE", "FAIRDREAM"))}
    with tempfile.TemporaryFile("w+") as output:
        started = time.monotonic()
        process = subprocess.Popen(command, cwd=folder, env=variables, stdout=output, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - started
        output.seek(0)
        text = output.read()
    if status != 0:
        sys.exit(text[-3000:])
    return Run(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, text)


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--copies", type=int, nargs="+", default=[1, 3, 10], help="times the paper's data sets")
    parser.add_argument("--repeats", type=int, default=3, help="runs of the paper's size")
    arguments = parser.parse_args()
    print("| data sets | jobs | dry run, s | CPU s | peak MB | ms a job |\n| ---: | ---: | ---: | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as base:
        for copies in arguments.copies:
            folder = project(Path(base, str(copies)), copies)
            repeats = arguments.repeats if copies == 1 else 1
            runs = [run(folder, "-n", TARGET) for _ in range(repeats)]
            wall, cpu = (min(values) for values in ([r.wall for r in runs], [r.cpu for r in runs]))
            jobs = int(re.search(r"^total +(\d+)$", runs[0].text, re.M)[1])
            cells = [f"{3 * copies}", f"{jobs:,}", f"{wall:.1f}", f"{cpu:.1f}", f"{max(r.memory for r in runs):.0f}"]
            print(f"| {' | '.join(cells)} | {1000 * wall / jobs:.2f} |", flush=True)
            if copies in MOST:
                add(Row(f"dry run of {jobs:,} jobs", "s", wall, limit=MOST[copies], limit_name="allowed", cost=True))
        # what every job on a node does first: parse the workflow and know its own job
        starts = [run(Path(base, str(arguments.copies[0])), "--list-rules") for _ in range(arguments.repeats)]
    wall, cpu = (min(values) for values in ([r.wall for r in starts], [r.cpu for r in starts]))
    print(f"\nStart of one job on a node (parse, no work): {wall:.1f} s, {cpu:.1f} s of CPU time")


if __name__ == "__main__":
    main()
