"""What Snakemake's own process costs while jobs run: `python bench/scheduler.py`.

Jobs that only sleep, two at a time, as in the demo, with Snakemake's scheduler as it is and as
`fairdream.runtime.snakemake_patches` mends it, and with each of its solvers. CPU seconds of Snakemake's process; the
jobs' are apart.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rows import Row, add

ROOT = Path(__file__).resolve().parents[1]
SNAKEFILE = """
import sys
sys.path.insert(0, {source!r})
if {mended}:
    from fairdream.runtime.snakemake_patches import mend_scheduler
    assert mend_scheduler()

rule all:
    input: expand("out/{{n}}", n=range({jobs}))

rule one:
    input: expand("in/{{n}}", n=range(20))
    output: "out/{{n}}"
    shell: "sleep {seconds} && touch {{output}}"
"""


def cpu_of(pid: int) -> float:
    """Return the CPU seconds that a process has used, without its children."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def run(jobs: int, seconds: float, mended: bool, solver: str) -> tuple[float, float, int]:
    """Return CPU and wall seconds and the most threads of one run of Snakemake."""
    with tempfile.TemporaryDirectory() as folder:
        text = SNAKEFILE.format(source=str(ROOT / "src"), mended=mended, jobs=jobs, seconds=seconds)
        Path(folder, "Snakefile").write_text(text)
        Path(folder, "in").mkdir()
        for number in range(20):
            Path(folder, "in", str(number)).touch()
        command = [sys.executable, "-m", "snakemake", "--cores", "2", "--scheduler", solver, "--quiet", "all"]
        started, cpu, threads = time.monotonic(), 0.0, 0
        process = subprocess.Popen(command, cwd=folder, stderr=subprocess.DEVNULL)
        while process.poll() is None:
            try:
                cpu = cpu_of(process.pid)
                threads = max(threads, len(os.listdir(f"/proc/{process.pid}/task")))
            except (FileNotFoundError, IndexError):
                break
            time.sleep(0.2)
        if process.wait():
            sys.exit("Snakemake failed")
        return cpu, time.monotonic() - started, threads


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=1, help="runs of each; the median counts")
    parser.add_argument("--seconds", type=float, default=1.0, help="that each job sleeps")
    arguments = parser.parse_args()
    cost: dict[tuple[bool, str], float] = {}
    print("| scheduler | solver | CPU s | ms a job | wall s | threads |\n|---|---|---:|---:|---:|---:|")
    for mended in (False, True):
        for solver in ("ilp", "greedy"):
            runs = [run(arguments.jobs, arguments.seconds, mended, solver) for _ in range(arguments.repeats)]
            cpu, wall, threads = map(statistics.median, zip(*runs, strict=True))
            cost[mended, solver] = 1000 * cpu / arguments.jobs
            name = "mended" if mended else "as it is"
            row = f"{cpu:.1f} | {1000 * cpu / arguments.jobs:.0f} | {wall:.0f} | {threads}"
            print(f"| {name} | {solver} | {row} |", flush=True)
    own = (cost[True, "ilp"], cost[False, "ilp"], "Snakemake as it is")
    add(Row(f"Snakemake itself, of {arguments.jobs} jobs", "CPU ms a job", *own, cost=True))


if __name__ == "__main__":
    main()
