"""The rules read like a table of contents: no file of functions and no function is long, and each stage has a file."""

import re
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

import pytest

from fairdream.runtime.code_digest import code_files

ROOT = Path(__file__).resolve().parents[2]
FILES = [ROOT / "Snakefile", *sorted((ROOT / "rules").glob("*.smk"))]


def functions(text: str) -> Iterator[tuple[str, int]]:
    """Yield the name and number of lines of each function; Snakemake's own language has no syntax tree of Python's."""
    lines = text.splitlines()
    for start, line in enumerate(lines):
        if match := re.match(r"( *)def (\w+)", line):
            inside = re.compile(rf"{match[1]}( |\))|\s*$")
            body = list(takewhile(inside.match, lines[start + 1 :]))
            yield match[2], 1 + len("\n".join(body).rstrip().splitlines())


def test_functions_are_measured():
    text = "def one(\n    x,\n):\n    a\n\n    b\n\n\nrule x:\n    input:\n        1\n\n\nif y:\n    def two(): pass\n"
    assert list(functions(text)) == [("one", 6), ("two", 1)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_function_is_over_15_lines(path):
    assert {name: lines for name, lines in functions(path.read_text()) if lines > 15} == {}


def test_what_all_rules_have_in_common_can_be_read_at_once():
    assert len((ROOT / "Snakefile").read_text().splitlines()) <= 60
    assert len((ROOT / "rules/common.smk").read_text().splitlines()) <= 200


def test_the_snakefile_includes_every_file_and_has_the_default_target_alone():
    text = (ROOT / "Snakefile").read_text()
    included = re.findall(r'^include: "(.+)"$', text, re.M)
    assert sorted(included) == [path.relative_to(ROOT).as_posix() for path in FILES[1:]]
    assert re.findall(r"^(?:rule|checkpoint|def) (.+):$", text, re.M) == ["all"]


def test_a_file_has_rules_or_functions():
    """Functions among rules are missed by who looks for either."""
    for path in FILES:
        text = path.read_text()
        assert not (list(functions(text)) and re.search(r"^(rule|checkpoint) ", text, re.M)), path.name


def test_a_function_of_the_rules_is_one_that_something_asks_for():
    whole = "\n".join(path.read_text() for path in FILES)
    for name, _ in functions(whole):
        assert len(re.findall(rf"\b{name}\b", whole)) > 1, name


def test_no_script_reaches_the_plan():
    """What is planned comes to a job as its inputs and params: an edit of the plan makes stale what it changes."""
    for script in (ROOT / "workflow/scripts").glob("*.py"):
        files = code_files(script, ROOT / "src/fairdream")
        assert not [path for path in files if "/fairdream/planning/" in path], script.name
