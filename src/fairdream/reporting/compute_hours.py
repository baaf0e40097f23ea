"""What a run cost: the time of its jobs by rule and by method, from Snakemake's benchmark files."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, NamedTuple

from fairdream.methods import METHODS, base_of
from fairdream.reporting.benchmark_files import asks_gpu, read, seconds
from fairdream.runtime.files import write_text

STAGES = ("finetune", "generate", "score", "pretrain", "retrain")


def hours(benchmarks: str, markdown: str) -> None:
    """Write the time of all jobs whose benchmark files lie in a folder; the last run of each job counts."""
    records = [record for _, record in read(benchmarks)]
    unit = HOURS if sum(record["s"] for record in records) >= 10 * HOURS.seconds else MINUTES
    write_text(
        markdown, "\n".join([*_total(records, unit), *_by_rule(records, unit), *_by_method(records, unit)]) + "\n"
    )


class Unit(NamedTuple):
    """What a page counts in, so that its numbers can be compared at a glance."""

    name: str
    seconds: int

    def of(self, seconds: float) -> str:
        """Return seconds in this unit."""
        value = seconds / self.seconds
        return "<0.1" if 0 < value < 0.05 else f"{value:,.1f}"


HOURS, MINUTES = Unit("hours", 3600), Unit("minutes", 60)


def _total(records: list[dict[str, Any]], unit: Unit) -> list[str]:
    gpu, others = seconds(records)
    return [
        f"{len(records):,} jobs: {unit.of(gpu)} {unit.name} of jobs that ask for a GPU, "
        f"{unit.of(others)} of others; what they took one after the other, as Snakemake's benchmark files have "
        "it. What another bias or an earlier run had made already counts nothing.",
        "",
    ]


def _by_rule(records: list[dict[str, Any]], unit: Unit) -> list[str]:
    rules = defaultdict(list)
    for record in records:
        rules[record["rule_name"]].append(record)
    lines = [f"## By rule, in {unit.name}", "", "| Rule | Asks for a GPU | Jobs | All jobs | Longest job |"]
    lines.append("| --- | --- | ---: | ---: | ---: |")
    for rule, own in sorted(rules.items(), key=lambda item: -sum(record["s"] for record in item[1])):
        took = [record["s"] for record in own]
        gpu = "yes" if any(map(asks_gpu, own)) else "no"
        lines.append(f"| {rule} | {gpu} | {len(own):,} | {unit.of(sum(took))} | {unit.of(max(took))} |")
    return [*lines, ""]


def _by_method(records: list[dict[str, Any]], unit: Unit) -> list[str]:
    """Return the time of the stages by row of Table 1; variants of a row count to it."""
    found: dict[tuple[str, str], float] = defaultdict(float)
    for record in records:
        method = record.get("wildcards", {}).get("method")
        if record["rule_name"] in STAGES and method:
            found[base_of(method), record["rule_name"]] += record["s"]
    lines = [f"## By method, in {unit.name}", "", "| Method | " + " | ".join(STAGES) + " | sum |"]
    lines.append("| --- |" + " ---: |" * (len(STAGES) + 1))
    for method in [name for name in METHODS if any((name, stage) in found for stage in STAGES)]:
        cells = [found[method, stage] for stage in STAGES]
        words = [unit.of(value) if value else "" for value in [*cells, sum(cells)]]
        lines.append(f"| {METHODS[method].title} | " + " | ".join(words) + " |")
    return lines
