"""Two runs' allocations want the same adapters, one run has lost its Snakemake: each adapter is trained once."""

import re
import subprocess
import time
from pathlib import Path

import pytest
from conftest import command, copy_project

pytestmark = [pytest.mark.slurm, pytest.mark.slow, pytest.mark.timeout(2000)]

SUBJECTS = ("even-land", "odd-water")
ADAPTERS = [f"results/waterdigits/0.999/lora/adapters/{s}/pytorch_lora_weights.safetensors" for s in SUBJECTS]
STEPS = 1500


def test_two_allocations_and_an_orphan_train_each_adapter_once(tmp_path, slurm_cluster, on_cluster, tell):
    project = copy_project(tmp_path / "project", steps=STEPS, biases=[0.999], methods=["erm", "lora"])
    logs = [project / f"results/logs/finetune/waterdigits-0.999-lora-{subject}.log" for subject in SUBJECTS]

    def jobs() -> dict[str, str]:
        """State of each fine-tuning that was submitted from the project, by job id."""
        listed = on_cluster("scontrol", "--oneliner", "show", "jobs", cwd=project, timeout=30).stdout
        fields = [dict(re.findall(r"(\w+)=(\S*)", line)) for line in listed.splitlines() if str(project) in line]
        return {job["JobId"]: job["JobState"] for job in fields if "rule_finetune" in job.get("Comment", "")}

    def steps_told() -> int:
        texts = [log.read_text() for log in logs if log.is_file()]
        return max((int(step) for text in texts for step in re.findall(r"(\d+) of \d+, ", text)), default=0)

    def start(**variables: str) -> subprocess.Popen:
        with open(project / "run.log", "a") as output:
            own = slurm_cluster | variables
            return subprocess.Popen(command(*ADAPTERS), cwd=project, env=own, stdout=output, stderr=output)

    def until(condition, what: str, process: subprocess.Popen) -> None:
        deadline = time.monotonic() + 600
        while not condition():
            assert process.poll() is None, (project / "run.log").read_text()[-4000:]
            assert time.monotonic() < deadline, f"not {what} after 600 s"
            time.sleep(0.2)

    first = start()
    try:
        until(lambda: steps_told() >= STEPS // 10, "training", first)
    finally:
        first.kill()
        first.wait()
    orphans = jobs()
    assert list(orphans.values()).count("RUNNING") == len(SUBJECTS)
    unlocked = on_cluster(*command(*ADAPTERS), "--unlock", cwd=project, timeout=120)
    assert unlocked.returncode == 0, unlocked.stdout

    second = start(FAIRDREAM_ORPHANS="ignore")
    try:
        # all at once: the orphans, and an allocation for each adapter beside them
        until(lambda: list(jobs().values()).count("RUNNING") == 2 * len(SUBJECTS), "racing", second)
        second.wait(1200)
    finally:
        second.kill()
        second.wait()
    assert second.returncode == 0, (project / "run.log").read_text()[-4000:]
    assert all((project / adapter).is_file() for adapter in ADAPTERS)
    states = jobs()
    assert set(states.values()) <= {"COMPLETED", "COMPLETING"}, "the orphans too end well"
    for log in logs:  # those of the second run
        text = log.read_text()
        assert "another job trains it, waiting for that" in text
        assert "trained meanwhile, taken from" in text
        assert not re.search(r"\d+ of \d+, ", text), "it trained what an orphan trains"
    stored = list(Path(project, "results/store/adapters").glob("*/pytorch_lora_weights.safetensors"))
    assert len(stored) == len(SUBJECTS)
    tell(
        f"SLURM: {len(states)} allocations, {len(orphans)} of them orphans, raced for {len(stored)} adapters: each once"
    )
