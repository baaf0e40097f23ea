"""A run whose job is cancelled, whose main process is killed and whose files are edited ends with the same table.

One story, because each chapter needs the one before it: starting over would cost minutes each time.
"""

import os
import re
import subprocess
import time
from pathlib import Path

import processes
import pytest
import yaml
from conftest import command, copy_project, run_locally

pytestmark = [pytest.mark.slurm, pytest.mark.slow, pytest.mark.timeout(3000)]

TABLE = "results/tables/table1.csv"
STEPS = 1500
COMMAND = command(TABLE)


def small_project(folder: Path) -> Path:
    """Two adapters of some tens of seconds each, one classifier with synthetic images and one without."""
    return copy_project(folder, steps=STEPS, biases=[0.999], methods=["erm", "lora"])


def wait_for(condition, what: str, seconds: float):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.2)
    pytest.fail(f"no {what} within {seconds:g} s")


def text_of(log: Path) -> str:
    try:
        return log.read_text()
    except FileNotFoundError:  # an attempt that begins removes the last one's
        return ""


def steps_done(log: Path) -> int:
    """The step that a training's log last told of, of those done in this attempt."""
    return max(map(int, re.findall(r"(\d+) of \d+, ", text_of(log))), default=0)


def test_a_cancelled_job_a_killed_run_and_edits_meanwhile(tmp_path, slurm_cluster, on_cluster, tell):
    project = small_project(tmp_path / "project")
    logs = [project / f"results/logs/finetune/waterdigits-0.999-lora-{s}.log" for s in ("even-land", "odd-water")]

    def ids_of_trainings() -> dict[str, str]:
        """Live jobs that train, by subject."""
        queue = on_cluster("squeue", "-h", "-t", "running", "-o", "%i %k", cwd=project, timeout=30).stdout
        found = re.findall(r"(\d+) rule_finetune\S*(even-land|odd-water)", queue)
        return {subject: number for number, subject in found}

    main = subprocess.Popen(
        COMMAND, cwd=project, env=slurm_cluster, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT
    )
    try:
        # 1. A cancelled training saves what it has; its second attempt resumes there.
        wait_for(lambda: steps_done(logs[0]) >= STEPS // 10, "training", 600)
        first = ids_of_trainings()["even-land"]
        on_cluster("scancel", first, cwd=project, timeout=30)
        before = steps_done(logs[0])
        resumed = wait_for(
            lambda: re.search(r"going on at step (\d+)", text_of(logs[0])),
            "second attempt",
            600,
        )
        assert int(resumed[1]) >= before >= STEPS // 10, "no step that was told of is done twice"

        # 2. The main process is killed; its jobs run on.
        assert ids_of_trainings()["even-land"] != first
    finally:
        main.kill()
        main.wait()
    alive = ids_of_trainings()
    assert alive, "the second attempt is still training"

    # 3. A new start names them and cancels nothing by itself.
    def start(timeout: float, **variables: str) -> subprocess.CompletedProcess:
        cancel = ["scancel", "--user", str(os.getuid())]
        environment = slurm_cluster | variables
        return processes.run(*COMMAND, cwd=project, env=environment, timeout=timeout, cleanup=cancel)

    unlock = on_cluster(*COMMAND, "--unlock", cwd=project, timeout=120)
    assert unlock.returncode == 0, unlock.stdout
    refused = start(120)
    assert refused.returncode != 0
    line = re.search(r"^  scancel ([\d ]+)$", refused.stdout, re.M)
    assert line, refused.stdout
    assert set(alive.values()) <= set(line[1].split())
    assert ids_of_trainings() == alive

    # 4. Told to, it cancels them and goes on from what they saved. An edit of the configuration is for the next run.
    text = (project / "config.yaml").read_text()

    again = subprocess.Popen(
        COMMAND,
        cwd=project,
        env=slurm_cluster | {"FAIRDREAM_ORPHANS": "cancel"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        wait_for(lambda: set(ids_of_trainings().values()) - set(alive.values()), "training of the new run", 600)
        assert "learning_rate: 0.01\n" in text
        (project / "config.yaml").write_text(text.replace("learning_rate: 0.01", "learning_rate: 0.9"))
        output, _ = again.communicate(timeout=1800)
    finally:
        again.kill()
        again.wait()
    assert again.returncode == 0, output
    (project / "config.yaml").write_text(text)
    assert "going on at step" in logs[0].read_text()

    # 5. The table is that of an undisturbed local run, to the byte.
    local = small_project(tmp_path / "local")
    done = run_locally(local, TABLE)
    assert done.returncode == 0, done.stdout
    assert (project / TABLE).read_bytes() == (local / TABLE).read_bytes()

    # 6. What the edit did not reach is valid: nothing is left to do.
    last = start(120)
    assert last.returncode == 0, last.stdout
    assert "Nothing to be done" in last.stdout

    # 7. What is trained after the run was killed stands for its own configuration, not for the one that comes back.
    def adapters() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in project.glob("results/waterdigits/*/lora/adapters/*/*.safetensors")}

    trained = adapters()
    values = yaml.safe_load(text)
    values["finetune"]["learning_rate"] *= 2
    (project / "config.yaml").write_text(yaml.safe_dump(values))
    main = subprocess.Popen(
        COMMAND, cwd=project, env=slurm_cluster, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT
    )
    try:
        wait_for(ids_of_trainings, "training of the edit", 600)
    finally:
        main.kill()
        main.wait()
    wait_for(
        lambda: not on_cluster("squeue", "-h", cwd=project, timeout=30).stdout.strip(), "end of the trainings", 900
    )
    assert len(trained) == len(adapters()) == 2
    assert all(trained[path] != content for path, content in adapters().items()), "they were trained to their end"
    (project / "config.yaml").write_text(text)
    unlock = on_cluster(*COMMAND, "--unlock", cwd=project, timeout=120)
    assert unlock.returncode == 0, unlock.stdout
    back = start(900)
    assert back.returncode == 0, back.stdout
    assert adapters() == trained
    assert (project / TABLE).read_bytes() == (local / TABLE).read_bytes()
    tell(
        f"SLURM: a job cancelled at step {before}, on at {resumed[1]}; Snakemake killed, {len(alive)} orphans cancelled"
    )
