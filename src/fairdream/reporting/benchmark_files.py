"""Snakemake's extended benchmark files: one line per run of a job, the last of which is the one that counts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any


def _last_record(path: Path) -> dict[str, Any]:
    """Return the last line of a benchmark file: rule, wildcards, params and ``s``, the seconds; empty without one."""
    try:
        return json.loads(path.read_text(encoding="utf-8").splitlines()[-1])
    except (IndexError, ValueError):
        return {}  # Snakemake was killed while it wrote


def read(folder: str | Path, rule: str = "*") -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield the benchmark files below a folder, of one rule or of all, each with its last record."""
    for path in sorted(Path(folder).glob(f"{rule}/*.jsonl")):
        if record := _last_record(path):
            yield path, {"rule_name": path.parent.name, **record}


def asks_gpu(record: dict[str, Any]) -> bool:
    """Tell whether a job asked for a GPU."""
    return bool(record.get("resources", {}).get("gpu"))


def seconds(records: Iterable[dict[str, Any]]) -> tuple[float, float]:
    """Return the seconds of the jobs that ask for a GPU, and those of the others."""
    total = {True: 0.0, False: 0.0}
    for record in records:
        total[asks_gpu(record)] += record["s"]
    return total[True], total[False]
