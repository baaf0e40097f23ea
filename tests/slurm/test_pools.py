"""The adapters of a method share one allocation with one GPU, in which one process trains them all."""

import json

import pytest
import yaml
from conftest import copy_project

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(2000)]

FOLDER = "results/waterdigits/original/clustered_dreambooth/adapters"
SUBJECTS = [f"{label}-{attribute}-c00" for label in ("even", "odd") for attribute in ("land", "water")]


def test_one_allocation_with_one_gpu_trains_all_adapters_of_a_method(snakemake, on_cluster, tmp_path):
    project = copy_project(tmp_path / "project", biases=["original"], methods=["erm", "clustered_dreambooth"])
    adapters = [f"{FOLDER}/{name}/pytorch_lora_weights.safetensors" for name in SUBJECTS]
    done = snakemake(*adapters, cwd=project, timeout=1800)
    assert done.returncode == 0, done.stdout
    assert all((project / adapter).is_file() for adapter in adapters)

    # SLURM's own log is named after its job: one for the four adapters
    (log,) = (project / "logs/slurm").glob("group_adapters-waterdigits-original-clustered_dreambooth_finetune/**/*.log")
    job = on_cluster("scontrol", "show", "job", log.stem, cwd=project, timeout=30).stdout
    assert "Partition=gpu" in job
    assert "gres/gpu:a100=1" in job or "gres/gpu=1" in job or "gres:gpu:1" in job, job
    # less than a job of its own for each would ask for
    assert "TimeLimit=01:40:00" in job, job
    assert "NumCPUs=4 " in job, job

    logs = [
        (project / f"results/logs/finetune/waterdigits-original-clustered_dreambooth-{name}.log").read_text()
        for name in SUBJECTS
    ]
    assert sum("a pool of 4 adapters: " in text for text in logs) == 1
    assert sum("trained before, taken from" in text for text in logs) == 3

    # what the node was told to train is what it was given an allocation for
    (plan,) = (project / "results/store/plans").glob("*.json")
    planned = json.loads(plan.read_text())["adapters"]
    assert sorted(planned["waterdigits/original/clustered_dreambooth"]) == SUBJECTS
    groups = yaml.safe_load((project / "profiles/slurm/config.yaml").read_text())["groups"]
    assert "finetune=adapters-{dataset}-{bias}-{method}" in groups
