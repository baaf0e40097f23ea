"""Jobs that the cluster itself ends: out of time, out of memory, their node lost. The run goes on by itself."""

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest
from conftest import command, copy_project, run_locally

pytestmark = [pytest.mark.slurm, pytest.mark.slow, pytest.mark.timeout(3000)]

TABLE = "results/tables/table1.csv"
STEPS = 1800
COMMAND = command(TABLE)
SUBJECTS = ("even-land", "even-water", "odd-land", "odd-water")


def small_project(folder: Path) -> Path:
    """Four adapters, one a GPU of the cluster."""
    return copy_project(folder, steps=STEPS, biases=["original"], methods=["erm", "lora"])


def script_of(job: str) -> psutil.Process:
    """Return the process that trains for a SLURM job: the last of those that run a script of Snakemake's."""
    own = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("SLURM_JOB_ID") == job and ".snakemake/scripts" in " ".join(process.cmdline()):
                own.append(process)
        except psutil.Error:
            continue
    return max(own, key=lambda process: process.create_time())


def test_a_job_out_of_time_one_out_of_memory_and_one_whose_node_is_lost(tmp_path, slurm_cluster, on_cluster, tell):
    project = small_project(tmp_path / "project")
    log = {subject: project / f"results/logs/finetune/waterdigits-original-lora-{subject}.log" for subject in SUBJECTS}

    def ask(*command: str) -> str:
        done = on_cluster(*command, cwd=project, timeout=30)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def trainings() -> dict[str, tuple[str, str]]:
        """Job id and node of each live training, by subject."""
        queue = ask("squeue", "-h", "-t", "running", "-o", "%i %N %k")
        found = re.findall(r"(\d+) (\S+) rule_finetune\S*?((?:even|odd)-(?:land|water))", queue)
        return {subject: (number, node) for number, node, subject in found}

    def text(subject: str) -> str:
        try:
            return log[subject].read_text()
        except FileNotFoundError:  # an attempt that begins removes the last one's
            return ""

    def steps(subject: str) -> int:
        return max(map(int, re.findall(r"(\d+) of \d+, ", text(subject))), default=0)

    def state(number: str) -> str:
        return re.search(r"JobState=(\w+)", ask("scontrol", "show", "job", number))[1]

    def back(node: str) -> None:
        """Bring a node back; one that has come back by itself refuses the word."""
        on_cluster("scontrol", "update", f"nodename={node}", "state=resume", cwd=project, timeout=30)
        deadline = time.monotonic() + 60
        while "down" in ask("sinfo", "-h", "-n", node, "-o", "%T"):
            assert time.monotonic() < deadline, f"{node} stays down"
            time.sleep(0.3)

    def until(condition, what: str, seconds: float = 600) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert main.poll() is None, (project / "run.log").read_text()[-4000:]
            assert time.monotonic() < deadline, f"not {what} after {seconds:g} s"
            time.sleep(0.3)

    with open(project / "run.log", "w") as output:
        main = subprocess.Popen(COMMAND, cwd=project, env=slurm_cluster, stdout=output, stderr=subprocess.STDOUT)
    lost = None
    try:
        until(lambda: all(steps(subject) >= STEPS // 10 for subject in SUBJECTS), "all training")
        jobs = trainings()
        assert set(jobs) == set(SUBJECTS)

        # the kernel ends what takes too much memory without a warning
        killed, number = steps("even-land"), jobs["even-land"][0]
        script_of(number).send_signal(signal.SIGKILL)

        # the node of one of the others is lost with all that runs there
        gone, lost = jobs["odd-water"]
        on_lost = [subject for subject in SUBJECTS if jobs[subject][1] == lost]
        ask("scontrol", "update", f"nodename={lost}", "state=down", "reason=test")
        until(lambda: state(gone) == "NODE_FAIL", "lost")
        back(lost)
        lost = None

        # a limit that has passed already
        late = next(subject for subject in SUBJECTS if subject not in on_lost and subject != "even-land")
        told, timed_out = steps(late), jobs[late][0]
        ask("scontrol", "update", f"jobid={timed_out}", "timelimit=1")
        until(lambda: state(timed_out) in ("TIMEOUT", "FAILED"), "out of time")
        ended = {number: state(number) for number in (number, gone, timed_out)}
        until(lambda: "going on at step" in text(late), "going on")
        resumed = int(re.search(r"going on at step (\d+)", text(late))[1])
        main.wait(1800)
    finally:
        main.kill()
        main.wait()
        if lost:
            back(lost)
        subprocess.run(["scancel", "--user", str(os.getuid())], env=slurm_cluster, timeout=30)
    assert main.returncode == 0, (project / "run.log").read_text()[-4000:]
    assert resumed >= told, "a job out of time is told before and saves"

    local = small_project(tmp_path / "local")
    done = run_locally(local, TABLE)
    assert done.returncode == 0, done.stdout
    assert (project / TABLE).read_bytes() == (local / TABLE).read_bytes()
    states = ", ".join(ended.values())
    tell(f"SLURM: jobs ended as {states}; killed at step {killed}, out of time at {told}, then on at {resumed}")
