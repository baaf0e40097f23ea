"""The plan before the spend.

Asks Snakemake for a dry run and tells, for what is not there yet: jobs by rule and why they run, hours, wall time and
disk. Jobs behind a checkpoint that has to run again (the subjects of a data set that was edited) are counted at the
most, and as expected: an adapter whose images were listed before keeps them, as most do when a few images change.
"""

from __future__ import annotations

import ast
import logging
import os
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from fairdream.cli import run_snakemake
from fairdream.planning import inference, params
from fairdream.planning.cautions import cautions
from fairdream.planning.dag_timeline import FOLLOWS, Job, expected_of, in_turns, needs_of, only, wall_time
from fairdream.planning.job_rates import Rates, work
from fairdream.runtime import repairs, run_snapshot

WHY = {
    "Missing output files": "not there yet",
    "Incomplete output files": "was killed",
    "Updated input files": "newer input",
    "Set of input files has changed since last execution": "other inputs",
}
PARAMS = "Params have changed since last execution: "
TARGETS = (
    "all",
    "audit_data",
    "audits",
    "check_data",
    "fetch_data",
    "figures",
    "infer_attributes",
    "report_parts",
    "tables",
)  # rules without work of their own
GPUS = (1, 4, 16, 64)  # what the wall time is told for


class Listener(logging.Filter):
    """Keeps the records of Snakemake's log from the screen and for us; errors pass."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[Any] = []

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep a record, pass an error."""
        self.records.append(record)
        return record.levelno >= logging.ERROR

    def of(self, event: str) -> list[Any]:
        """Return the records of one of Snakemake's log events."""
        return [record for record in self.records if str(getattr(record, "event", "")) == event]


def dry_run(arguments: list[str]) -> Listener:
    """Run Snakemake with ``--dry-run`` in this process and return what it said; end with it when it fails."""
    listener = Listener()
    logging.getLogger("snakemake.logging").addFilter(listener)
    _look_at_all_params()
    run_snakemake.snakemake(["--dry-run", *arguments])  # first: targets may follow a lone --
    return listener


def _look_at_all_params() -> None:
    """Let Snakemake look at the params of jobs that follow others too; one reason to run suffices it.

    An adapter behind a checkpoint that has to run is expected to stay, but not where its own code or values changed.
    """
    import snakemake.api  # noqa: F401 - first: its modules import each other
    from snakemake.dag import DAG

    repairs.make()  # first: they take a function of ours for one that is mended
    original: Any = DAG.update_needrun
    if original.__module__ == __name__:
        return  # it does already

    async def update_needrun(dag: Any, create_inventory: bool = False) -> None:
        await original(dag, create_inventory)
        records = dag.workflow.persistence
        for job in dag.needrun_jobs():
            reason = dag.reason(job)
            if reason.updated_input_run and not reason.params_changed and records.has_metadata(job):
                reason.params_changed = records.params_changed(job)

    DAG.update_needrun = update_needrun


def jobs_of(listener: Listener, groups: Mapping[str, str]) -> list[Job]:
    """Return the jobs of a dry run with their estimates, by the configuration that it read.

    `groups` are the profile's: rule -> name with the wildcards of its jobs.
    """
    config = run_snapshot.parsed()
    rates, jobs = Rates(config), []
    # a group that fills more than one allocation is told of once for each of them
    for record in {record.jobid: record for record in listener.of("job_info")}.values():
        rule, wildcards = record.rule_name, record.wildcards
        if rule in TARGETS:
            continue
        values = params.read_by(config, rule, wildcards) if rule in params.STAGES else {}
        own = work(config, rule, wildcards, values)
        jobs.append(
            Job(
                rule=rule,
                reason=record.reason,
                gpu=bool(record.resources.get("gpu")),
                cores=record.threads,
                inputs=list(record.input),
                outputs=list(record.output),
                seconds=rates.seconds(own),
                measured=rates.known(own),
                bytes=rates.bytes(own, wildcards),
                group=groups[rule].format(**wildcards) if rule in groups else "",
            )
        )
    return jobs


def why(reason: str) -> list[str]:
    """Return what made a job stale, in plain words: of changed params the keys and values, code by that name."""
    # first: there may be a semicolon in a value; no reason follows, as software environments are no trigger of ours
    others, changed, params = reason.partition(PARAMS)
    names = [part.partition(": ")[0] for part in others.removesuffix("; ").split("; ")]
    words = [WHY.get(name, name) for name in names if name not in ("", FOLLOWS)]
    return words + (_changes(params) if changed else []) or ["follows"]


def _changes(text: str) -> list[str]:
    """Return the differences between the params before and now, as Snakemake prints them."""
    match = re.search(r"before: (.*) now: (.*)$", text, re.S)
    if match is None:
        return ["configuration or code"]
    try:
        before, now = ({type(v): v for v in ast.literal_eval(f"({part.strip()},)")} for part in match.groups())
    except (SyntaxError, ValueError):
        return ["configuration or code"]
    words = ["code"] if before.get(str) != now.get(str) else []
    old, new = (dict(_flat(values.get(dict, {}))) for values in (before, now))
    for key in sorted(old.keys() | new.keys()):
        if old.get(key) != new.get(key):
            words.append(f"{key} {old.get(key)} → {new.get(key)}" if key in old and key in new else key)
    return words


def _flat(values: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    pairs = []
    for key, value in values.items():
        pairs += _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else [(f"{prefix}{key}", value)]
    return pairs


def tell(jobs: list[Job], cluster: bool, cores: int, members: Mapping[str, int] | None = None) -> str:
    """Return the plan as text; `members` as in `in_turns`."""
    if not jobs:
        return "Nothing to be done: all that was asked for is there."
    needs = needs_of(jobs)
    expected = expected_of(jobs, needs)
    if cluster:
        needs = in_turns(jobs, needs, members or {})
    maybe = not all(expected)
    head = ["rule", "jobs", *(["expected"] if maybe else []), "time", "why"]
    rows = []
    for rule in dict.fromkeys(job.rule for job in jobs):
        own = [number for number, job in enumerate(jobs) if job.rule == rule]
        reasons = Counter(word for number in own for word in why(jobs[number].reason))
        likely = [number for number in own if expected[number]]
        time = as_time(sum(jobs[number].seconds for number in likely))
        told = [f"{word} ({count})" if count < len(own) else word for word, count in reasons.most_common(4)]
        told += [f"{len(reasons) - 4} more"] if len(reasons) > 4 else []
        row = [rule, f"{len(own):,}", *([f"{len(likely):,}"] if maybe else []), time, "; ".join(told)]
        rows.append(row if all(jobs[number].measured for number in own) else [*row[:-2], f"{row[-2]}*", row[-1]])
    lines = [as_table(head, rows)]
    likely_jobs, likely_needs = only(jobs, needs, expected)
    lines += ["", *_total("In all", likely_jobs, likely_needs, cluster, cores)]
    if maybe:
        lines += _total("At the most", jobs, needs, cluster, cores)
        lines.append(
            "Which adapters train again is known once the subjects are: expected is that they keep their images."
        )
    if not all(job.measured for job in jobs):
        lines.append(
            "* By defaults for one A100 (docs/cluster.md), not by benchmark files of this machine; those of the first "
            "jobs replace them."
        )
    return "\n".join(lines)


def as_table(head: list[str], rows: list[list[str]]) -> str:
    """Return aligned columns: the first one and reasons to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    left = (0, len(head) - 1) if head[-1] == "why" else (0,)
    lines = [
        "  ".join(row[c].ljust(widths[c]) if c in left else row[c].rjust(widths[c]) for c in range(len(head)))
        for row in [head, *rows]
    ]
    return "\n".join(line.rstrip() for line in lines)


def _total(name: str, jobs: list[Job], needs: list[set[int]], cluster: bool, cores: int) -> list[str]:
    gpu = sum(job.seconds for job in jobs if job.gpu)
    other = sum(job.seconds for job in jobs if not job.gpu)
    disk = sum(job.bytes for job in jobs)
    if cluster:
        times = ", ".join(f"{as_time(wall_time(jobs, needs, gpus, cores))} with {gpus}" for gpus in GPUS)
        spent = f"{gpu / 3600:,.1f} GPU-hours and {other / 3600:,.1f} hours without a GPU. Wall time: {times} GPUs."
    else:
        wall = as_time(wall_time(jobs, needs, 0, cores))
        spent = f"{(gpu + other) / 3600:,.2f} hours of jobs, {wall} on {cores} cores."
    return [f"{name}: {len(jobs):,} jobs, {spent} Disk: {disk / 1e9:,.1f} GB."]


def as_time(seconds: float) -> str:
    """Return a duration as people say it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:,.1f} h"


def show(arguments: list[str]) -> None:
    """Print the plan of Snakemake's arguments."""
    parsed = run_snakemake.parsed(arguments)
    cluster = parsed.executor not in (None, "local")
    cores = (parsed.local_cores if cluster else parsed.cores) or os.cpu_count() or 1
    listener = dry_run(arguments)
    if listener.of("workflow_started"):
        jobs = jobs_of(listener, (parsed.groups or {}) if cluster else {})
        members = {job.group: parsed.group_components.get(parsed.groups[job.rule], 1) for job in jobs if job.group}
        print(tell(jobs, cluster, int(cores), members))
        own = run_snapshot.parsed()
        drawn = any(job.rule in ("finetune", "generate") for job in jobs)
        for caution in inference.without_attribute(own) + (cautions(own) if drawn else []):
            print(f"\n{caution}")
