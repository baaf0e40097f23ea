"""A job that SLURM kills for its memory and then preempts for another's gets more memory, and goes on where it was."""

import re
import subprocess
import time
from pathlib import Path

import pytest
from conftest import command, copy_project, run_locally
from safetensors.numpy import load_file

pytestmark = [pytest.mark.slurm, pytest.mark.slow, pytest.mark.timeout(3000)]

SUBJECT = "even-land"
ADAPTER = f"results/waterdigits/0.999/lora/adapters/{SUBJECT}/pytorch_lora_weights.safetensors"
STEPS = 1500


def small_project(folder: Path) -> Path:
    """One adapter, whose first attempt has less memory than Python with torch takes."""
    project = copy_project(folder, steps=STEPS, biases=[0.999], methods=["erm", "lora"])
    profile = project / "profiles/slurm/config.yaml"
    text = profile.read_text()
    starved = "  finetune:\n    mem_mb: 300 * attempt ** 3\n"
    assert "  finetune:\n" in text
    profile.write_text(text.replace("  finetune:\n", starved))
    return project


def test_a_job_without_enough_memory_and_then_preempted(tmp_path, slurm_cluster, on_cluster, tell):
    project = small_project(tmp_path / "project")
    log = project / f"results/logs/finetune/waterdigits-0.999-lora-{SUBJECT}.log"

    def ask(*command: str) -> str:
        done = on_cluster(*command, cwd=project, timeout=30)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def attempts() -> list[dict[str, str]]:
        """The job's submissions up to now, oldest first."""
        shown = ask("scontrol", "--oneliner", "show", "jobs").splitlines()
        fields = [dict(re.findall(r"(\w+)=(\S*)", line)) for line in shown if str(project) in line]
        own = [job for job in fields if "finetune" in job.get("Comment", "")]
        return sorted(own, key=lambda job: int(job["JobId"]))

    def told() -> int:
        try:
            return max(map(int, re.findall(r"(\d+) of \d+, ", log.read_text())), default=0)
        except FileNotFoundError:  # an attempt that begins removes the last one's
            return 0

    def until(condition, what: str) -> None:
        deadline = time.monotonic() + 600
        while not condition():
            assert main.poll() is None, (project / "run.log").read_text()[-4000:]
            assert time.monotonic() < deadline, f"not {what} after 600 s"
            time.sleep(0.3)

    with open(project / "run.log", "w") as output:
        main = subprocess.Popen(
            command(ADAPTER), cwd=project, env=slurm_cluster, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        until(lambda: len(attempts()) == 2 and told() >= STEPS // 10, "training with more memory")
        starved, second = attempts()
        before = told()
        # every GPU of the node where it trains, for somebody more important
        urgent = ["sbatch", "--partition=urgent", "--nodes=1", f"--nodelist={second['NodeList']}"]
        ask(*urgent, "--gres=gpu:2", "--mem=100", "--output=/dev/null", "--wrap=sleep 5")
        until(lambda: len(attempts()) == 3, "submitted a third time")
        main.wait(1500)
    finally:
        main.kill()
        main.wait()
        on_cluster("scancel", "--me", cwd=project, timeout=30)
    assert main.returncode == 0, (project / "run.log").read_text()[-4000:]
    starved, second, third = attempts()
    assert starved["JobState"] in ("OUT_OF_MEMORY", "FAILED", "CANCELLED")
    assert second["JobState"] in ("PREEMPTED", "CANCELLED", "FAILED")
    assert third["JobState"] == "COMPLETED"
    resumed = int(re.search(r"going on at step (\d+)", log.read_text())[1])
    assert resumed >= before >= STEPS // 10, "what was told of is not done again"

    local = small_project(tmp_path / "local")
    done = run_locally(local, ADAPTER)
    assert done.returncode == 0, done.stdout
    undisturbed, own = load_file(local / ADAPTER), load_file(project / ADAPTER)
    assert own.keys() == undisturbed.keys()
    assert all((own[key] == undisturbed[key]).all() for key in own)
    states = ", ".join(job["JobState"] for job in (starved, second, third))
    tell(f"SLURM: one job out of memory, then preempted: {states}; told of step {before}, then on at {resumed}")
