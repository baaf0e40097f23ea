"""The jobs of a dry run in time: what waits for what, which of them will run, and when the last one ends."""

from __future__ import annotations

import heapq
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

PENDING = "<TBD>"  # Snakemake's word for the inputs that a checkpoint has yet to name
FOLLOWS = "Input files updated by another job"


@dataclass
class Job:
    """One job of a dry run: what it needs, why it runs, and its estimated cost.

    `group` is the name under which the profile lets jobs share an allocation; ``""`` for one of its own.
    """

    rule: str
    reason: str
    gpu: bool
    cores: int
    inputs: list[str]
    outputs: list[str]
    seconds: float
    measured: bool
    bytes: float
    group: str = ""


def needs_of(jobs: list[Job]) -> list[set[int]]:
    """Return the jobs that each job waits for, by position."""
    makers = {path: number for number, job in enumerate(jobs) for path in job.outputs}
    # a subject's adapter waits for the checkpoint of its method, which lies in the same folder
    subjects = {os.path.dirname(path): number for path, number in makers.items() if jobs[number].rule == "subjects"}
    result = []
    for job in jobs:
        needs = {makers[path] for path in job.inputs if path in makers}
        if PENDING in job.inputs:
            method = os.path.dirname(os.path.dirname(os.path.dirname(job.outputs[0])))
            needs |= {subjects[folder] for folder in [f"{method}/subjects"] if folder in subjects}
        result.append(needs)
    return result


def in_turns(jobs: list[Job], needs: list[set[int]], members: Mapping[str, int]) -> list[set[int]]:
    """Return what jobs wait for when those that share an allocation run one after the other.

    Parameters
    ----------
    members
        Group -> jobs in an allocation, at the most.
    """
    result, lines = [set(own) for own in needs], Counter[str]()
    last: dict[str, int] = {}
    for number, job in enumerate(jobs):
        if not job.group:
            continue
        if lines[job.group] % members.get(job.group, 1):
            result[number].add(last[job.group])
        lines[job.group] += 1
        last[job.group] = number
    return result


def expected_of(jobs: list[Job], needs: list[set[int]]) -> list[bool]:
    """Tell which jobs will run if the adapters behind a pending checkpoint keep their images."""
    expected: dict[int, bool] = {}

    def will_run(number: int) -> bool:
        if number not in expected:
            job = jobs[number]
            follows = job.reason.startswith(FOLLOWS) and ";" not in job.reason
            if not follows or job.rule == "subjects":
                expected[number] = True
            elif PENDING in job.inputs:
                expected[number] = False
            else:
                expected[number] = any(will_run(other) for other in needs[number])
        return expected[number]

    return [will_run(number) for number in range(len(jobs))]


def wall_time(jobs: list[Job], needs: list[set[int]], gpus: int, cores: int) -> float:
    """Return the seconds until the last job ends, with jobs started as soon as they can.

    Parameters
    ----------
    gpus
        Jobs with a GPU at once, on a cluster that runs the others as they come; 0: this machine runs all jobs.
    cores
        This machine's.
    """
    waits = [set(own) for own in needs]
    followers: list[list[int]] = [[] for _ in jobs]
    for number, own in enumerate(needs):
        for other in own:
            followers[other].append(number)
    ready = [number for number, own in enumerate(waits) if not own]
    free = {"gpu": gpus, "cpu": cores, "cluster": len(jobs)}
    running: list[tuple[float, int]] = []
    now = 0.0

    def takes(job: Job) -> tuple[str, int]:
        if not gpus:
            return "cpu", min(job.cores, cores)
        return ("gpu" if job.gpu else "cluster"), 1

    while ready or running:
        later = []
        for number in ready:
            pool, amount = takes(jobs[number])
            if free[pool] >= amount:
                free[pool] -= amount
                heapq.heappush(running, (now + jobs[number].seconds, number))
            else:
                later.append(number)
        now, done = heapq.heappop(running)
        pool, amount = takes(jobs[done])
        free[pool] += amount
        for number in followers[done]:
            waits[number].discard(done)
            if not waits[number]:
                later.append(number)
        ready = later
    return now


def only(jobs: list[Job], needs: list[set[int]], chosen: list[bool]) -> tuple[list[Job], list[set[int]]]:
    """Return some of the jobs, with what they wait for renumbered."""
    position = {number: place for place, number in enumerate(n for n, own in enumerate(chosen) if own)}
    return [jobs[n] for n in position], [{position[o] for o in needs[n] if o in position} for n in position]
