"""What the jobs of a results folder truly took.

Snakemake writes a benchmark file per job, anew each time the job runs: the last run of each counts.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from pathlib import Path
from typing import Any

from fairdream.cli.plan import as_table, as_time
from fairdream.reporting.benchmark_files import read, seconds


def tell(results: Path) -> str:
    """Return time and the longest job by rule, of all jobs and of those of the last run."""
    records = [(path.stat().st_mtime, record) for path, record in read(results / "benchmarks")]
    if not records:
        return f"{results} has no benchmark files yet: nothing was run there."
    rules = defaultdict(list)
    for _, record in records:
        rules[record["rule_name"]].append(record)
    rows = []
    for rule, own in rules.items():
        took = [record["s"] for record in own]
        rows.append([rule, f"{len(own):,}", as_time(sum(took)), as_time(max(took))])
    lines = [as_table(["rule", "jobs", "time", "longest"], rows), "", f"In all: {_sum([r for _, r in records])}."]
    # a run writes down what it goes by when it begins, see fairdream.runtime.run_snapshot
    begun = max((path.stat().st_mtime for path in results.glob("store/plans/*.json")), default=None)
    last = [(ended, record) for ended, record in records if begun is not None and ended >= begun]
    if begun is not None and last:
        wall = as_time(max(ended for ended, _ in last) - begun)
        began = f"{datetime.fromtimestamp(begun):%d %B %Y %H:%M}"
        lines.append(f"The last run, of {began}: {_sum([record for _, record in last])}, in {wall}.")
    return "\n".join(lines)


def _sum(records: list[dict[str, Any]]) -> str:
    gpu, other = map(as_time, seconds(records))
    return f"{len(records):,} jobs, {gpu} of jobs that ask for a GPU and {other} of others"
