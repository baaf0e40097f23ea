"""No code of the workflow unpickles, gives a shell a string, or unpacks an archive without a filter."""

import ast
import re
from collections.abc import Iterator

import pytest
from refusals import ROOT

PYTHON = sorted([*(ROOT / "src").rglob("*.py"), *(ROOT / "workflow").rglob("*.py")])
# Snakemake's own language: no syntax tree of Python's, and no need of any of these words
RULES = [ROOT / "Snakefile", *sorted((ROOT / "rules").glob("*.smk"))]
FORBIDDEN = (
    r"\b(pickle|joblib|torch|subprocess|os\.system|os\.popen|shell|eval|exec|yaml\.load|extractall|unpack_archive)\b"
)
PICKLERS = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
SHELLS = {"os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"}
UNPICKLING = {"read_pickle", "to_pickle", "unsafe_load", "full_load", "unsafe_load_all", "unpack_archive"}


def dotted(node: ast.AST) -> str:
    """Return a name with its points, as far as it is one."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def unsafe(tree: ast.AST) -> Iterator[str]:
    """Yield what a syntax tree must not hold."""
    # a zip archive's own method takes no filter: its members' names are looked at first
    looked_at = "_refuse_outside" in ast.dump(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
            yield from (f"import {name}" for name in names if name.split(".")[0] in PICKLERS)
        if not isinstance(node, ast.Call):
            continue
        name, last = dotted(node.func), dotted(node.func).split(".")[-1]
        given = {word.arg: ast.unparse(word.value) for word in node.keywords}
        if last in UNPICKLING or name in SHELLS or name in ("eval", "exec", "shell"):
            yield name
        if name == "torch.load" and given.get("weights_only") != "True":
            yield "torch.load without weights_only=True"
        if given.get("allow_pickle", "False") != "False":
            yield f"{name} with allow_pickle"
        if given.get("shell", "False") != "False":
            yield f"{name} with shell"
        if name == "yaml.load" and "SafeLoader" not in ast.unparse(node) and ast.unparse(node.args[1]) != "_UniqueKeys":
            yield "yaml.load with another loader"
        if last in ("extractall", "extract") and given.get("filter") != "'data'" and not looked_at:
            yield f"{name} without filter='data'"


@pytest.mark.parametrize("path", PYTHON, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_python_file_does(path):
    assert not list(unsafe(ast.parse(path.read_text())))


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.name)
def test_no_rule_does(path):
    code = re.sub(r"#.*", "", path.read_text())
    assert not re.search(rf"^\s*(run|shell):|{FORBIDDEN}", code, re.MULTILINE)


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "from joblib import load",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path, allow_pickle=True)",
        "pd.read_pickle(path)",
        "os.system(text)",
        "subprocess.run(text, shell=True)",
        "shell(text)",
        "eval(text)",
        "yaml.load(text, yaml.Loader)",
        "file.extractall(folder)",
        "file.extractall(folder, filter='fully_trusted')",
        "shutil.unpack_archive(path)",
    ],
)
def test_the_check_finds(code):
    assert list(unsafe(ast.parse(code)))
