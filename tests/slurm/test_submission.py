"""What SLURM or its executor refuses is told of and ends the run, and a run that is asked to end cancels its jobs."""

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import TEST_CLUSTER_OPTIONS, copy_project
from processes import wait_for

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(600)]

SOURCE = Path(__file__).resolve().parents[2] / "src"
# Groups as in the profile, of jobs that need nothing but a shell.
WORKFLOW = """
import sys
sys.path.insert(0, {source!r})
from fairdream.runtime import snakemake_patches, shutdown, slurm_submission
snakemake_patches.mend_records()
snakemake_patches.mend_groups()
shutdown.mend_signals()
slurm_submission.mend_submission()

rule table:
    input: "1.made", "2.made", "alone"
    output: "table"
    localrule: True
    shell: "touch {{output}}"

rule make:
    output: "{{n}}.made"
    group: "pair"
    resources: gpu=1, mem_mb=300, runtime=5
    shell: "{command}; touch {{output}}"

rule alone:
    output: "alone"
    resources: gpu=1, mem_mb=300, runtime=5
    shell: "{command}; touch {{output}}"
"""
OPTIONS = ["--executor", "slurm", "--jobs", "4", "--nocolor", "--keep-going", "--group-components", "pair=2"]
OPTIONS += ["--resources", "gpu=1", "--set-resource-scopes", "gpu=local", "--slurm-status-command", "squeue"]
OPTIONS += ["--latency-wait", "5", *TEST_CLUSTER_OPTIONS]


def snakemake(folder: Path, command: str, *resources: str, targets: tuple[str, ...] = ()) -> list[str]:
    (folder / "Snakefile").write_text(WORKFLOW.format(source=str(SOURCE), command=command))
    return [sys.executable, "-m", "snakemake", *targets, *OPTIONS, "--default-resources", "mem_mb=300", *resources]


def test_a_model_with_a_hyphen_is_refused_at_the_start(tmp_path, on_cluster):
    project = copy_project(tmp_path / "project", biases=[0.999], methods=["erm", "lora"])
    profile = project / "profiles/slurm/config.yaml"
    text = profile.read_text()
    assert "    # gpu_model: a100\n" in text
    profile.write_text(text.replace("    # gpu_model: a100\n", "    gpu_model: nvidia_a100-sxm4-80gb\n"))
    command = [sys.executable, "-m", "snakemake", "--profile", "profiles/slurm"]
    done = on_cluster(*command, cwd=project, timeout=120)
    assert done.returncode == 1, done.stdout
    assert re.search(r"does not submit \w+ with gpu_model: nvidia_a100-sxm4-80gb: Invalid", done.stdout), done.stdout
    assert "constraint: FEATURE" in done.stdout
    assert "Traceback" not in done.stdout


@pytest.mark.parametrize(
    ("resource", "words"),
    [
        ("gpu_model=nvidia_a100-sxm4-80gb", "It was not submitted: Invalid GPU model format"),
        ("gpu_model=h100", "Requested node configuration is not available"),
        ("constraint=a100-40gb", "Invalid feature specification"),
    ],
)
def test_a_group_that_is_not_submitted_ends_the_run_within_a_minute(tmp_path, on_cluster, resource, words):
    command = snakemake(tmp_path, "true", "slurm_partition=gpu", resource, targets=("1.made", "2.made"))
    done = on_cluster(*command, cwd=tmp_path, timeout=60)
    assert done.returncode == 1, done.stdout
    assert re.search(rf"^Group \S+: .*{words}", done.stdout, re.M), done.stdout


def test_cards_are_asked_for_by_a_feature(tmp_path, on_cluster):
    command = snakemake(tmp_path, "true", "slurm_partition=gpu", "constraint=a100-80gb")
    done = on_cluster(*command, cwd=tmp_path, timeout=120)
    assert done.returncode == 0, done.stdout
    asked = on_cluster("squeue", "--me", "--states=all", "-h", "-o", "%f", cwd=tmp_path, timeout=30).stdout
    assert asked.split().count("a100-80gb") == 2, asked


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("moment", [0.0, 3.0])
def test_a_run_that_is_asked_to_end_cancels_what_it_submitted(tmp_path, slurm_cluster, on_cluster, how, moment):
    """Also what is being submitted at that moment."""
    command = snakemake(tmp_path, "touch begun; sleep 300", "slurm_partition=gpu")
    with open(tmp_path / "log", "w") as log:
        main = subprocess.Popen(command, cwd=tmp_path, env=slurm_cluster, stdout=log, stderr=subprocess.STDOUT)
    try:
        wait_for(lambda: "Execute" in (tmp_path / "log").read_text())
        time.sleep(moment)
        began = time.monotonic()
        main.send_signal(how)
        main.wait(30)
        took = time.monotonic() - began
    finally:
        main.kill()
        main.wait()
    assert took < 10, (tmp_path / "log").read_text()
    assert main.returncode == 128 + how
    assert not list((tmp_path / ".snakemake/locks").glob("*"))

    def queue() -> str:
        return on_cluster("squeue", "--me", "-h", cwd=tmp_path, timeout=30).stdout.strip()

    wait_for(lambda: not queue(), 30)
