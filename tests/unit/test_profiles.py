"""What the profiles set is what Snakemake hears, under the literal commands of the README."""

import re
from pathlib import Path

import pytest
import yaml
from snakemake.cli import parse_args

ROOT = Path(__file__).resolve().parents[2]
PROFILES = {path.parent.name: yaml.safe_load(path.read_text()) for path in ROOT.glob("profiles/*/config.yaml")}
SPECIFIC = sorted(PROFILES.keys() - {"default"})


def effective(monkeypatch, *arguments: str):
    """Parse a command line as Snakemake does in the project's folder."""
    monkeypatch.chdir(ROOT)
    _, args = parse_args([*arguments])
    return args


def test_the_profiles_are_there():
    assert PROFILES.keys() >= {"default", "demo", "local", "slurm"}


@pytest.mark.parametrize("name", SPECIFIC)
def test_no_profile_repeats_a_key_of_default_which_would_win(name):
    assert not PROFILES[name].keys() & PROFILES["default"].keys()


@pytest.mark.parametrize("name", sorted(PROFILES))
def test_every_setting_has_its_reason_above_it(name):
    lines = (ROOT / f"profiles/{name}/config.yaml").read_text().splitlines()
    for number, line in enumerate(lines):
        if re.match(r"[a-z-]+:", line):
            block = "\n".join(lines[:number]).rpartition("\n\n")[2]
            inside = lines[number + 1] if line.endswith(":") else ""
            assert "#" in block or inside.lstrip().startswith("#") or line == "executor: slurm", line


@pytest.mark.parametrize("name", SPECIFIC)
def test_default_is_heard_beside_every_profile(name, monkeypatch):
    args = effective(monkeypatch, "--profile", f"profiles/{name}")
    assert {str(trigger) for trigger in args.rerun_triggers} == {"mtime", "params", "input"}
    assert args.rerun_incomplete is True
    assert args.show_failed_logs is True


def test_the_literal_slurm_command(monkeypatch):
    args = effective(monkeypatch, "--profile", "profiles/slurm", "results/tables/table1.csv")
    assert (args.executor, args.jobs, args.retries, args.keep_going, args.latency_wait) == ("slurm", 100, 2, True, 60)
    assert args.slurm_no_requeue is True
    assert args.slurm_status_command == "squeue"
    assert str(args.slurm_logdir) == "logs/slurm"
    # A span of a minute made the end of every run wait for a minute.
    assert args.max_jobs_per_timespan.timespan <= 1
    assert not args.config, "the profile leaves the user's config.yaml alone"
    assert not args.configfile


def test_gpu_rules_and_only_they_go_to_the_gpu_partition():
    gpu_rules = set()
    for file in ROOT.glob("rules/*.smk"):
        for name, body in re.findall(
            r"^(?:rule|checkpoint) (\w+):\n((?:[ ]+.*\n|\n)*)", file.read_text(), re.MULTILINE
        ):
            if re.search(r"\bgpu=", body):
                gpu_rules.add(name)
    assert gpu_rules == PROFILES["slurm"]["set-resources"].keys()
