"""A repair is made for the functions that it was written for, and for no others; each has its row and its test."""

import ast
import importlib
import logging
import re
import subprocess
import sys
from pathlib import Path

import pytest
import snakemake.api  # noqa: F401 - first: its modules import each other
from snakemake.dag import DAG
from snakemake.logging import logger

from fairdream.runtime import repairs, snakemake_patches

ROOT = Path(__file__).resolve().parents[3]
LEFT_OUT = "is another than it was written for"  # what docs/errors.md lists

for module in repairs.MODULES:
    importlib.import_module(module)


def test_snakemake_and_its_executor_are_those_that_the_repairs_were_written_for():
    code = "from fairdream.runtime import repairs; repairs.make(); print({n: r() for n, r in repairs.REPAIRS.items()})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT / "src", capture_output=True, text=True, check=True)
    assert ast.literal_eval(done.stdout) == dict.fromkeys(repairs.REPAIRS, True)
    assert "left out" not in done.stderr


def test_another_function_is_left_as_it_is_and_the_log_names_the_repair(monkeypatch, caplog):
    def update_groups(own):
        """What another version may have."""

    monkeypatch.setattr(DAG, "update_groups", update_groups)
    monkeypatch.setattr(logger, "propagate", True)
    with caplog.at_level(logging.WARNING):
        assert not snakemake_patches.mend_groups()
    assert DAG.update_groups is update_groups
    assert "The repair of groups that grow is left out: snakemake.dag:DAG.update_groups" in caplog.text
    assert LEFT_OUT in caplog.text


def test_one_that_is_gone_is_no_error(monkeypatch):
    monkeypatch.delattr(DAG, "update_groups")
    assert not snakemake_patches.mend_groups()


def test_an_executor_that_is_not_installed_has_no_fault(monkeypatch):
    monkeypatch.setattr(repairs, "find_spec", lambda name: None)
    assert repairs.REPAIRS["groups that are not submitted"]()


ROWS = re.findall(
    r"^\| (.+?) \| .+? \| .+? \| `(\w+)\.py`: `(\w+)` \|$", (ROOT / "docs/architecture.md").read_text(), re.M
)


def test_every_repair_has_a_row_in_the_table_of_faults():
    assert {name for name, _, _ in ROWS} == set(repairs.REPAIRS)


@pytest.mark.parametrize(("name", "file", "test"), ROWS)
def test_a_row_names_a_test_that_is_there(name, file, test):
    assert f"def {test}(" in (ROOT / f"tests/unit/runtime/{file}.py").read_text()
