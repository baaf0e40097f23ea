"""What the jobs of a results folder truly took: ``python -m fairdream.spent [RESULTS]``, or `make cost`.

Snakemake writes a benchmark file a job, anew each time the job runs: the last run of each counts.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from datetime import datetime
from pathlib import Path
from typing import Any

from fairdream.benchmarks import last_record
from fairdream.forecast import as_table, as_time


def tell(results: Path) -> str:
    """Return time and the longest job by rule, of all jobs and of those of the last run."""
    records: list[tuple[float, dict[str, Any]]] = []
    for path in sorted(results.glob("benchmarks/*/*.jsonl")):
        if record := last_record(path):
            records.append((path.stat().st_mtime, {"rule_name": path.parent.name, **record}))
    if not records:
        return f"{results} has no benchmark files yet: nothing was run there."
    rules = defaultdict(list)
    for _, record in records:
        rules[record["rule_name"]].append(record)
    rows = []
    for rule, own in rules.items():
        seconds = [record["s"] for record in own]
        rows.append([rule, f"{len(own):,}", as_time(sum(seconds)), as_time(max(seconds))])
    lines = [as_table(["rule", "jobs", "time", "longest"], rows), "", f"In all: {_sum(records)}."]
    # a run writes down what it goes by when it begins, see fairdream.planned
    begun = max((path.stat().st_mtime for path in results.glob("store/plans/*.json")), default=None)
    last = [(ended, record) for ended, record in records if begun is not None and ended >= begun]
    if begun is not None and last:
        wall = as_time(max(ended for ended, _ in last) - begun)
        lines.append(f"The last run, of {datetime.fromtimestamp(begun):%d %B %Y %H:%M}: {_sum(last)}, in {wall}.")
    return "\n".join(lines)


def _sum(records: list[tuple[float, dict[str, Any]]]) -> str:
    seconds = {True: 0.0, False: 0.0}
    for _, record in records:
        seconds[bool(record.get("resources", {}).get("gpu"))] += record["s"]
    gpu, other = as_time(seconds[True]), as_time(seconds[False])
    return f"{len(records):,} jobs, {gpu} of jobs that ask for a GPU and {other} of others"


if __name__ == "__main__":
    print(tell(Path(sys.argv[1] if len(sys.argv) > 1 else "results")))
