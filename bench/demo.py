"""Where a run's wall time went: `python bench/demo.py [results/demo] [--log .snakemake/log/...]`, after `make demo`.

Three sources: Snakemake's log (when the run began and ended), the benchmark files (a job's wall time from its start by
Snakemake to its end; with the warm server its CPU seconds are those of the asking process alone), and the logs, in
which the loops of training, drawing and scoring tell how far they are and at what pace: that is work. What is left of a
job is overhead: start-up, imports, loading of models, and small work without such a loop. What is left of the run's
cores is Snakemake's own, or idle.
"""

from __future__ import annotations

import argparse
import json
import re
from collections import defaultdict
from datetime import datetime
from pathlib import Path

STAMP = re.compile(r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}) (.*)", re.M)
PROGRESS = re.compile(r": (\d+) of (\d+), ([\d.]+) a second")
EVENT = re.compile(r"^\[(\w{3} \w{3} +\d+ \d\d:\d\d:\d\d \d{4})\]$", re.M)


def work_of(log: Path) -> float | None:
    """Return the seconds of loops that a finished job's log reports; ``None`` for a job that tells of no loop.

    A loop that is told of was gone through to its end, also where its last steps are not told of.
    """
    finished, current = 0.0, None
    for _, text in STAMP.findall(log.read_text(encoding="utf-8", errors="replace")):
        if row := PROGRESS.search(text):
            done, steps, rate = int(row[1]), int(row[2]), float(row[3])
            if current and done <= current[0]:
                finished += current[1]  # another loop has begun
            current = (done, steps / rate if rate else 0.0)
    return finished + current[1] if current else None


def main() -> None:
    """Print one line per rule and the sums."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, nargs="?", default=Path("results/demo"))
    parser.add_argument("--log", type=Path, help="Snakemake's log; none: the last one with jobs")
    parser.add_argument("--cores", type=int, default=2)
    arguments = parser.parse_args()
    logs = sorted(Path(".snakemake/log").glob("*.log"), key=lambda path: path.stat().st_mtime)
    for log in [arguments.log] if arguments.log else reversed(logs):
        times = [datetime.strptime(text, "%a %b %d %H:%M:%S %Y") for text in EVENT.findall(log.read_text())]
        if len(times) > 1:
            break
    else:
        parser.error("no log of Snakemake in .snakemake/log names times of jobs; give one with --log")
    print(f"By {log}:\n")
    wall = (max(times) - min(times)).total_seconds()
    rules: dict[str, list[tuple[float, float, float]]] = defaultdict(list)
    for path in sorted(arguments.results.glob("benchmarks/*/*.jsonl")):
        record = json.loads(path.read_text().splitlines()[-1])
        own = arguments.results / "logs" / path.parent.name / f"{path.stem}.log"
        work = work_of(own) if own.is_file() else None
        # a job without a loop is small: all of it counts as overhead, which can only overstate that
        rules[path.parent.name].append((record["s"], float(record.get("cpu_time") or 0), min(work or 0.0, record["s"])))
    print("| rule | jobs | wall s | work s | overhead s a job | CPU s |\n|---|---:|---:|---:|---:|---:|")
    for rule, own in sorted(rules.items(), key=lambda item: -sum(job[0] for job in item[1])):
        seconds, cpu, work = (sum(job[place] for job in own) for place in range(3))
        print(f"| {rule} | {len(own)} | {seconds:.0f} | {work:.0f} | {(seconds - work) / len(own):.2f} | {cpu:.0f} |")
    jobs = [job for own in rules.values() for job in own]
    seconds, _, work = (sum(job[place] for job in jobs) for place in range(3))
    capacity = wall * arguments.cores
    print(
        f"\nWall {wall:.0f} s on {arguments.cores} cores, jobs {seconds:.0f} s ({seconds / capacity:.0%} of the cores)."
    )
    print(f"Useful work {work:.0f} s: {work / seconds:.0%} of the jobs' time, {work / capacity:.0%} of the cores'.")
    print(f"Overhead: {seconds - work:.0f} s in jobs, {capacity - seconds:.0f} s between them.")


if __name__ == "__main__":
    main()
