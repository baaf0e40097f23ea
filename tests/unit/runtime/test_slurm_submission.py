"""What SLURM's executor does not submit ends the run with a message: with programs that stand in for SLURM's."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import processes
import pytest

from fairdream.errors import UserError
from fairdream.runtime import slurm_submission

SOURCE = Path(__file__).resolve().parents[3] / "src"
WORKFLOW = """
import sys
sys.path.insert(0, {source!r})
from fairdream.runtime.slurm_submission import mend_submission
if {mended}:
    mend_submission()

rule table:
    input: "1.made", "2.made"
    output: "table"
    localrule: True
    shell: "touch {{output}}"

rule make:
    output: "{{n}}.made"
    group: "pair"
    resources: gpu=1, {resources}
    shell: "touch {{output}}"
"""
COMMAND = [sys.executable, "-m", "snakemake", "--executor", "slurm", "--jobs", "2", "--nocolor", "--keep-going"]
COMMAND += ["--retries", "1", "--group-components", "pair=2", "--slurm-status-command", "squeue"]
COMMAND += ["--slurm-init-seconds-before-status-checks", "1", "--default-resources", "mem_mb=100", "runtime=1"]
# What a shell and Snakemake themselves need: a PATH with these alone has no SLURM, whatever this machine has.
USUAL = ("sh", "bash", "which", "touch", "env", "cat", "id", "grep", "uname")


@pytest.fixture
def slurm(tmp_path):
    """A folder of programs that stand in for SLURM's, and the environment that finds no others."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in USUAL:
        (programs / name).symlink_to(shutil.which(name))
    for name, body in {
        "sacct": "exit 0",
        "sacctmgr": "exit 0",
        "sinfo": "echo gpu",
        "squeue": "exit 0",
        "scontrol": "echo MinJobAge = 36000",
        "sbatch": "echo 'sbatch: error: Invalid generic resource (gres) specification' >&2; exit 1",
    }.items():
        (programs / name).write_text(f"#!/bin/sh\n{body}\n")
        (programs / name).chmod(0o755)
    outer = {key: value for key, value in os.environ.items() if not key.startswith(("SLURM", "SNAKEMAKE"))}
    return programs, outer | {"PATH": str(programs)}


def run(tmp_path: Path, slurm, mended: bool, resources: str, timeout: float = 60) -> subprocess.CompletedProcess:
    (tmp_path / "Snakefile").write_text(WORKFLOW.format(source=str(SOURCE), mended=mended, resources=resources))
    return processes.run(*COMMAND, cwd=tmp_path, env=slurm[1], timeout=timeout)


# What docs/errors.md lists.
NOT_SUBMITTED = "SLURM's executor does not submit"
NO_PROGRAM = "is not found on this machine, and SLURM's executor asks it"
HYPHEN = "slurm_partition='gpu', gpu_model='nvidia_a100-sxm4-80gb'"
PLAIN = "slurm_partition='gpu'"


def test_a_group_that_the_executor_refuses_fails(tmp_path, slurm):
    done = run(tmp_path, slurm, True, HYPHEN)
    assert done.returncode == 1, done.stdout
    assert "It was not submitted: Invalid GPU model format: nvidia_a100-sxm4-80gb" in done.stdout
    assert done.stdout.count("It was not submitted") >= 2, "each attempt"


def test_a_group_fails_where_a_program_is_missing(tmp_path, slurm):
    (slurm[0] / "sacct").unlink()
    done = run(tmp_path, slurm, True, PLAIN)
    assert done.returncode == 1, done.stdout
    assert "It was not submitted: [Errno 2] No such file or directory: 'sacct'" in done.stdout


def test_a_group_that_slurm_refuses_fails(tmp_path, slurm):
    done = run(tmp_path, slurm, True, PLAIN)
    assert done.returncode == 1, done.stdout
    assert "The error message was 'sbatch: error: Invalid generic resource" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("resources", [HYPHEN, PLAIN])
def test_without_the_repair_the_run_waits_for_ever(tmp_path, slurm, resources):
    """Should the executor mend that, its repair can go."""
    if resources == PLAIN:
        (slurm[0] / "sacct").unlink()
    with pytest.raises(pytest.fail.Exception, match="not done after"):
        run(tmp_path, slurm, False, resources, timeout=30)


def job(**resources: object) -> SimpleNamespace:
    return SimpleNamespace(rule=SimpleNamespace(name="finetune"), is_local=False, resources=Resources(resources))


class Resources(dict):
    def __getattr__(self, name: str) -> object:
        return self.get(name)


@pytest.fixture
def programs(slurm, monkeypatch):
    monkeypatch.setenv("PATH", str(slurm[0]))
    return slurm[0]


def test_what_is_fine_is_not_refused(programs):
    slurm_submission.check([job(gpu=1, gpu_model="a100"), job(gpu=1, gpu_model="3g.20gb"), job(gres="gpu:a100:1")])
    extra = job(gpu=1, constraint="a100-80gb", slurm_account="me", slurm_extra="--signal=TERM@60")
    slurm_submission.check([extra])


@pytest.mark.parametrize(
    ("resources", "words"),
    [
        ({"gpu": 1, "gpu_model": "nvidia_a100-sxm4-80gb"}, "gpu_model: nvidia_a100-sxm4-80gb"),
        ({"gpu": 1, "gpu_model": 4090}, "gpu_model: 4090"),
        ({"gpu": 1, "gpu_model": "'a100'"}, "gpu_model: 'a100'"),
        ({"gres": "gpu:a100-sxm4:1"}, "gres: gpu:a100-sxm4:1"),
        ({"gpu": 1, "slurm_extra": "--gres=gpu:a100-sxm4:1"}, "slurm_extra: --gres=gpu:a100-sxm4:1"),
    ],
)
def test_what_the_executor_would_not_submit_is_refused_at_the_start(programs, resources, words):
    with pytest.raises(UserError, match="constraint: FEATURE") as error:
        slurm_submission.check([job(gpu=1, gpu_model="a100"), job(**resources)])
    assert f"{NOT_SUBMITTED} finetune with {words}: " in str(error.value)


def test_a_local_job_is_not_looked_at(programs):
    own = job(gpu_model="a-b")
    own.is_local = True
    slurm_submission.check([own])


def test_a_program_that_the_executor_asks_is_missed_at_the_start(programs):
    (programs / "sacct").unlink()
    slurm_submission.check([job(gpu=1, slurm_account="me")])
    with pytest.raises(UserError, match=f"sacct {NO_PROGRAM} for your account.*or name the account"):
        slurm_submission.check([job(gpu=1)])
    (programs / "sacctmgr").unlink()
    with pytest.raises(UserError, match=f"sacctmgr {NO_PROGRAM} whether slurm_account me is yours"):
        slurm_submission.check([job(gpu=1, slurm_account="me")])
