"""FairDream as a Snakemake `module` of another workflow: the same jobs, under the names that workflow gives them."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import jobs_in, needs_models
from processes import run

CODE = ("Snakefile", "rules", "workflow", "src", "envs", "requirements.lock")
SNAKEFILE = """
configfile: "outer.yaml"


module fairdream:
    snakefile:
        "vendor/fairdream/Snakefile"
    config:
        config["fairdream"]


use rule * from fairdream as {name}


onstart:
    fairdream.onstart()


# what a dry run does not tell
print("local:", *workflow._localrules)


rule best_method:
    default_target: True
    input:
        "results/tables/table1.csv",
    output:
        "best.txt",
    shell:
        "sort -t, -k6 {{input}} | tail -1 > {{output}}"
"""
# with a prefix more can go wrong, so that is what the quick tests try
NAMES = pytest.mark.parametrize("name", ["fairdream_*", pytest.param("*", marks=pytest.mark.slow)])


def snakemake(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    """Run the outer workflow with the settings that docs/module.md names."""
    command = [sys.executable, "-m", "snakemake", "--rerun-triggers", "mtime", "params", "input", "--cores", "2"]
    variables = {k: v for k, v in os.environ.items() if not k.startswith(("SNAKEMAKE", "FAIRDREAM", "PYTHONPATH"))}
    variables["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return run(*command, *arguments, cwd=folder, env=variables, timeout=200)


def outer(folder: Path, name: str) -> Path:
    """Turn a project into another workflow that has it as a module; its results and models stay where they are."""
    clone = folder / "vendor/fairdream"
    clone.mkdir(parents=True)
    for part in CODE:
        shutil.move(folder / part, clone / part)
    own = yaml.safe_load((folder / "config.yaml").read_text())
    (folder / "config.yaml").unlink()
    (folder / "outer.yaml").write_text(yaml.safe_dump({"fairdream": own, "of_its_own": 1}))
    (folder / "Snakefile").write_text(SNAKEFILE.format(name=name))
    return folder


def edit(folder: Path, section: str, key: str, value: object) -> None:
    config = yaml.safe_load((folder / "outer.yaml").read_text())
    config["fairdream"][section][key] = value
    (folder / "outer.yaml").write_text(yaml.safe_dump(config))


@needs_models
@NAMES
def test_what_ran_alone_is_done_for_a_module_and_what_is_missing_runs(rerun, name):
    folder = outer(rerun[0], name)
    dry = snakemake(folder, "-n")
    assert dry.returncode == 0, dry.stdout
    assert jobs_in(dry.stdout) == set(), "a module has the identities that FairDream has alone"
    assert "rule best_method:" in dry.stdout
    # the store has the adapter, so its job imports no torch
    adapter = "results/waterdigits/original/lora/adapters/even-land/pytorch_lora_weights.safetensors"
    metrics = "results/waterdigits/original/erm/classifiers/real-ce/seed0/stage1_only.metrics.json"
    before = {path: (folder / path).read_bytes() for path in (adapter, metrics)}
    for path in before:
        (folder / path).unlink()
    done = snakemake(folder, "best.txt", *before)
    assert done.returncode == 0, done.stdout
    prefix = name.removesuffix("*")
    started = set(re.findall(r"^Finished jobid: \d+ \(Rule: (\w+)\)", done.stdout, re.M))
    assert {f"{prefix}finetune", f"{prefix}evaluate", f"{prefix}tabulate", "best_method"} <= started, done.stdout
    assert {path: (folder / path).read_bytes() for path in before} == before
    assert (folder / "best.txt").read_text().strip()
    assert list((folder / "results/store/plans").glob("*.json"))
    assert not (folder / "vendor/fairdream/results").exists()


@needs_models
@pytest.mark.slow
@NAMES
def test_an_edit_runs_the_same_jobs_as_alone(rerun, name):
    project, alone = rerun
    text = (project / "config.yaml").read_text()
    (project / "config.yaml").write_text(text.replace("fraction: 0.75", "fraction: 0.5"))
    expected = alone()
    assert expected
    (project / "config.yaml").write_text(text)
    folder = outer(project, name)
    edit(folder, "select", "fraction", 0.5)
    dry = snakemake(folder, "-n")
    assert dry.returncode == 0, dry.stdout
    assert jobs_in(dry.stdout) == expected
    # rules without a GPU that take seconds run where Snakemake does, whatever the module calls them
    (local,) = re.findall(r"^local: (.+)$", dry.stdout, re.M)
    assert {name.replace("*", rule) for rule in ("fetch_model", "select", "tabulate")} <= set(local.split())
    assert "not present in the Snakefile" not in dry.stdout


def test_a_wrong_value_of_a_module_is_named_and_nothing_runs(project):
    folder = outer(project, "fairdream_*")
    edit(folder, "select", "fraction", 1.5)
    dry = snakemake(folder, "-n")
    assert dry.returncode != 0
    assert "the module's config: 1 value(s) to fix" in dry.stdout
    assert "select.fraction" in dry.stdout
    assert "Traceback" not in dry.stdout


@pytest.mark.slow
def test_two_modules_with_two_configurations_are_refused(project):
    folder = outer(project, "fairdream_*")
    text = (folder / "Snakefile").read_text()
    second = """
other = {**config["fairdream"], "results": "other"}


module second:
    snakefile:
        "vendor/fairdream/Snakefile"
    config:
        other


use rule * from second as second_*
"""
    (folder / "Snakefile").write_text(text + second)
    dry = snakemake(folder, "-n")
    assert dry.returncode != 0
    assert "a module of this workflow twice, with two configurations" in dry.stdout
