"""The test cluster schedules onto two nodes and their GPUs, and the project's profile submits to it."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.slurm

SHARDS = """
rule tabulate:
    input: expand("shard{i}.env", i=range(3)),
    output: "table.env",
    localrule: True
    shell: "cat {input} > {output}"


# a name to which the profile gives a GPU partition
rule generate:
    output: "shard{i}.env",
    resources:
        gpu=1,
        mem_mb=500,
        runtime=5,
    shell:
        "env | grep -E '^(SLURM_JOB_(ID|PARTITION)|CUDA_VISIBLE_DEVICES)=' > {output}"
"""


def test_jobs_spread_over_two_nodes_and_no_two_share_a_gpu(on_cluster, tmp_path):
    # Each job waits until all four have started: they hold their GPUs at the same time.
    script = (
        "echo $SLURMD_NODENAME $CUDA_VISIBLE_DEVICES > $SLURM_JOB_ID.where;"
        "for i in $(seq 300); do [ $(ls *.where | wc -l) = 4 ] && exit 0; sleep 0.1; done; exit 1"
    )
    jobs = " & ".join([f"sbatch --wait -p gpu --gpus=1 --mem=300 -t 2 -o %j.log --wrap '{script}'"] * 4)
    done = on_cluster("bash", "-c", f"{jobs} & wait", cwd=tmp_path, timeout=60)
    places = sorted(tuple(path.read_text().split()) for path in tmp_path.glob("*.where"))
    assert places == [("node1", "0"), ("node1", "1"), ("node2", "0"), ("node2", "1")], done.stdout


def test_the_edited_profile_submits_every_shard_to_the_gpu_partition(snakemake, on_cluster, tmp_path):
    shutil.copytree(ROOT / "profiles", tmp_path / "profiles")
    profile = tmp_path / "profiles/slurm/config.yaml"
    text = profile.read_text()
    # the edits that the profile asks its user for
    for commented in ("# slurm_account: my_project", "# gpu_model: a100"):
        assert commented in text
        text = text.replace(commented, commented.removeprefix("# "))
    profile.write_text(text)
    (tmp_path / "Snakefile").write_text(SHARDS)

    done = snakemake("table.env", cwd=tmp_path, timeout=180)
    assert done.returncode == 0, done.stdout
    shards = [dict(line.split("=", 1) for line in (tmp_path / f"shard{i}.env").read_text().split()) for i in range(3)]
    assert len({shard["SLURM_JOB_ID"] for shard in shards}) == 3
    for shard in shards:
        assert shard["SLURM_JOB_PARTITION"] == "gpu"
        assert shard["CUDA_VISIBLE_DEVICES"] in ("0", "1")
        job = on_cluster("scontrol", "show", "job", shard["SLURM_JOB_ID"], cwd=tmp_path, timeout=10).stdout
        assert "Account=my_project" in job
        assert "gres/gpu:a100=1" in job or "gres:gpu:a100:1" in job, job
    assert len(list((tmp_path / "logs/slurm").rglob("*.log"))) == 3, "SLURM's own logs are kept"

    again = snakemake("table.env", cwd=tmp_path, timeout=60)
    assert again.returncode == 0, again.stdout
    assert "Nothing to be done" in again.stdout


@pytest.mark.slow
def test_the_daemons_end_with_a_killed_owner(slurm_cluster, tmp_path):
    # `slurm_cluster` only says that SLURM is installed.
    owner = subprocess.Popen(
        [sys.executable, "-c", "from cluster import *; c = Cluster(); c.start(); print(c.base, flush=True); input()"],
        cwd=Path(__file__).parent,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    base = Path(owner.stdout.readline().strip())
    owner.kill()
    owner.wait(timeout=10)
    try:
        from cluster import recorded

        pidfiles = list((base / "run").glob("*.pid"))
        assert len(pidfiles) == 4
        for _ in range(100):
            left = [file.name for file in pidfiles if recorded(file)]
            if not left:
                break
            subprocess.run(["sleep", "0.1"], timeout=5)
        assert left == []
    finally:
        shutil.rmtree(base)
