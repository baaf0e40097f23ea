"""What a job imports: light jobs no heavy library, and no job one before its work begins."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from fairdream.runtime.code_digest import code_files

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = {path.stem: path for path in sorted((ROOT / "workflow/scripts").glob("*.py"))}
HEAVY = {"torch", "torchvision", "diffusers", "transformers", "peft", "accelerate", "open_clip"}
LIGHT = [
    "ablate",
    "audit",
    "centroids",
    "clusters",
    "compare",
    "contact_sheet",
    "copies",
    "cost",
    "curve",
    "distinct",
    "evaluate",
    "fetch_dataset",
    "hours",
    "index",
    "manifest",
    "page",
    "quality",
    "scores",
    "select",
    "split",
    "subjects",
    "tabulate",
    "training_curves",
    "thumbnails",
    "uncertainty",
    "waterdigits",
]
IMPORTS = (ast.Import, ast.ImportFrom)


def loaded_by(code: str) -> set[str]:
    """Libraries that a process has loaded after it ran some code."""
    code += "\nimport sys\nprint(*{name.split('.')[0] for name in sys.modules})"
    return set(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split())


def head_of(script: Path) -> str:
    return "\n".join(ast.unparse(node) for node in ast.parse(script.read_text()).body if isinstance(node, IMPORTS))


def all_of(script: Path) -> str:
    """Every import of a script and of the modules that it runs, those inside functions too."""
    files = [script, *map(Path, code_files(script, ROOT / "src/fairdream"))]
    nodes = [node for file in files for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, IMPORTS)]
    guarded = [
        inner
        for file in files
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in map(ast.unparse, node.body)
    ]
    lines = dict.fromkeys(ast.unparse(node) for node in nodes)
    future = [line for line in lines if "__future__" in line]
    return "\n".join(future + [line for line in lines if line not in (*future, *guarded)])


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_loads_nothing_heavy_before_its_work_begins(name):
    loaded = loaded_by(head_of(SCRIPTS[name]))
    assert "fairdream" in loaded
    assert not loaded & (HEAVY | {"pandas", "pyarrow", "sklearn", "matplotlib"})


@pytest.mark.parametrize("name", LIGHT)
def test_a_job_without_a_network_loads_no_torch(name):
    assert not loaded_by(all_of(SCRIPTS[name])) & HEAVY


def test_a_job_with_a_network_is_seen_to_load_torch():
    """The check above would notice it."""
    assert {"torch", "diffusers"} <= loaded_by(all_of(SCRIPTS["generate"]))
