"""Jobs and whole runs killed at random moments: the tables end byte-identical to those of an undisturbed run."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from conftest import ONE_THREAD, SMALLEST, copy_project, needs_models, run_snakemake

pytestmark = [needs_models, pytest.mark.slow, pytest.mark.timeout(3000)]

# seed of the moments and victims, kills
RUNS = [(1, 15), (2, 15)]
MAIN = 0.3  # share of the kills that hit Snakemake itself


def start(project: Path) -> subprocess.Popen:
    """Start the run as `make demo` does, with a warm server, in a process group of its own."""
    command = [sys.executable, "-m", "fairdream.runtime.warm_server", sys.executable, "-m", "snakemake", "--profile"]
    command += ["profiles/default", "--cores", "2", "--keep-going", "--set-threads", *ONE_THREAD]
    variables = {key: value for key, value in os.environ.items() if not key.startswith(("SNAKEMAKE", "FAIRDREAM"))}
    with open(project / "run.log", "a") as log:
        return subprocess.Popen(
            command,
            cwd=project,
            env=variables | {"PYTHONPATH": str(project / "src")},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def parts(main: psutil.Process) -> tuple[list[psutil.Process], list[psutil.Process]]:
    """Return Snakemake itself, and the processes of its jobs: scripts that wait, and forks of the server that work."""
    snakemakes, jobs = [], []
    children = main.children()
    for child in children:
        if "snakemake" in " ".join(child.cmdline()[:3]) and "fairdream.runtime.warm_server" not in child.cmdline():
            snakemakes.append(child)
            jobs += [own for own in child.children(recursive=True) if ".snakemake/scripts" in " ".join(own.cmdline())]
        else:
            jobs += child.children()
    return snakemakes, jobs


def kill_one(main: psutil.Process, chance: random.Random) -> str | None:
    """Kill a job, or Snakemake; return what was hit, `None` where nothing was."""
    try:
        snakemakes, jobs = parts(main)
        hit_main = chance.random() < MAIN and bool(jobs)
        candidates = snakemakes if hit_main else jobs
        if not candidates:
            return None
        victim = chance.choice(sorted(candidates, key=lambda process: process.pid))
        how = chance.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM])
        victim.send_signal(signal.SIGKILL if hit_main else how)
    except psutil.NoSuchProcess:
        return None
    return "Snakemake" if hit_main else f"a job, {how.name}"


@pytest.mark.parametrize(("seed", "kills"), RUNS)
def test_a_run_whose_processes_die_at_random_ends_with_the_same_tables(finished, tmp_path, seed, kills, tell):
    project = copy_project(tmp_path / "chaos", SMALLEST)
    chance = random.Random(seed)
    hits: list[str] = []
    starts = 0
    began = time.monotonic()
    while True:
        starts += 1
        assert starts < 4 * kills, (project / "run.log").read_text()[-4000:]
        process = start(project)
        try:
            main = psutil.Process(process.pid)
            while process.poll() is None:
                time.sleep(chance.uniform(0.5, 4.0))
                if len(hits) < kills and (hit := kill_one(main, chance)):
                    hits.append(hit)
        finally:
            # what a killed Snakemake left must not outlive the test, nor hold its folder
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if process.returncode == 0:
            break
        unlocked = run_snakemake(project, "--unlock", timeout=240)
        assert unlocked.returncode == 0, unlocked.stdout
    assert len(hits) == kills, "the run ended before all kills: make them closer to each other"
    for name in ("table1.csv", "table1.md", "table1.tex"):
        chaotic, undisturbed = (folder / "results/tables" / name for folder in (project, finished[0]))
        assert chaotic.read_bytes() == undisturbed.read_bytes()
    again = run_snakemake(project, timeout=240)
    assert "Nothing to be done" in again.stdout
    runs = f"{starts} starts, {time.monotonic() - began:.0f} s"
    tell(f"chaos, seed {seed}: {len(hits)} kills, {hits.count('Snakemake')} of Snakemake itself; {runs}")
