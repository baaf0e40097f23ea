"""Live SLURM jobs of a folder, as a stand-in for `squeue` and `scancel` tells them; tests/slurm has the real ones."""

import os

import pytest

from fairdream.errors import UserError
from fairdream.runtime import slurm_orphans


@pytest.fixture
def queue(tmp_path, monkeypatch):
    """A queue in a file, one job a line; the folder that the run stands in is `here`."""
    lines, here, tools = tmp_path / "queue", tmp_path / "here", tmp_path / "bin"
    here.mkdir()
    tools.mkdir()
    lines.write_text("")
    (tools / "squeue").write_text(f"#!/bin/sh\ncat {lines}\n")
    (tools / "scancel").write_text(
        f'#!/bin/sh\nfor i in "$@"; do grep -v "^$i|" {lines} > {lines}.new; mv {lines}.new {lines}; done\n'
    )
    for tool in tools.iterdir():
        tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv(slurm_orphans.VARIABLE, raising=False)
    lines.write_text(
        f"11|RUNNING|rule_finetune_wildcards_waterbirds_0.999|{here}\n"
        f"12|PENDING|rule_generate|{here}\n"
        f"13|RUNNING|(null)|{here}\n"  # the allocation in which Snakemake itself runs
        f"14|RUNNING|rule_finetune|{tmp_path}\n"  # another folder's
    )
    return here, lines


def test_jobs_of_this_folder_stop_a_start_and_are_named(queue):
    here, _ = queue
    assert slurm_orphans.live_jobs(here) == {"11": "running, finetune", "12": "pending, generate"}
    with pytest.raises(UserError, match=r"(?s)2 SLURM job.*11: running, finetune.*  scancel 11 12\n"):
        slurm_orphans.check(here)


def test_they_are_cancelled_when_told_to(queue, monkeypatch):
    here, lines = queue
    monkeypatch.setenv(slurm_orphans.VARIABLE, "cancel")
    assert slurm_orphans.check(here)
    assert [line.split("|")[0] for line in lines.read_text().splitlines()] == ["13", "14"]


def test_they_are_left_when_told_to(queue, monkeypatch):
    here, lines = queue
    monkeypatch.setenv(slurm_orphans.VARIABLE, "ignore")
    assert not slurm_orphans.check(here)
    assert len(lines.read_text().splitlines()) == 4


def test_an_empty_queue_and_no_slurm_are_no_error(queue, monkeypatch):
    here, lines = queue
    lines.write_text("")
    slurm_orphans.check(here)
    monkeypatch.setenv("PATH", str(here))
    assert slurm_orphans.live_jobs(here) == {}


def test_a_job_that_ended_meanwhile_is_no_error(queue, monkeypatch):
    here, lines = queue
    (here.parent / "bin/scancel").write_text(f"#!/bin/sh\n: > {lines}\nexit 1\n")
    monkeypatch.setenv(slurm_orphans.VARIABLE, "cancel")
    slurm_orphans.check(here)
    assert lines.read_text() == ""


def test_another_word_than_those_allowed_is_named(queue, monkeypatch):
    here, _ = queue
    monkeypatch.setenv(slurm_orphans.VARIABLE, "Cancel")
    with pytest.raises(UserError, match="'Cancel'; allowed: cancel, ignore"):
        slurm_orphans.check(here)


def test_a_queue_that_cannot_be_asked_is_told_of(queue, capsys):
    here, _ = queue
    (here.parent / "bin/squeue").write_text("#!/bin/sh\necho no controller >&2\nexit 1\n")
    slurm_orphans.check(here)
    assert "no controller" in capsys.readouterr().err
