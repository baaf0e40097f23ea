"""Digests change with what decides a result, and with nothing else."""

import ast
import re
import shutil
from pathlib import Path

import pytest

from fairdream.identity import digest, seed_of
from fairdream.runtime import syntax
from fairdream.runtime.code_digest import code_digest, code_files, is_neutral

ROOT = Path(__file__).resolve().parents[2]


def test_seeds_are_the_same_for_ever():
    assert seed_of("image", 0, "even-land", "even-land-c00", 17) == 2448462676486079547
    assert seed_of("image", 0, "a", 1) != seed_of("image", 0, "a", 2)
    assert seed_of("a", "bc") != seed_of("ab", "c")
    assert all(0 <= seed_of(n) < 2**63 for n in range(100))


def test_a_digest_does_not_depend_on_the_order_of_keys():
    assert digest({"a": 1, "b": [1, 2]}) == digest({"b": [1, 2], "a": 1})
    assert digest({"a": 1, "b": [1, 2]}) != digest({"a": 1, "b": [2, 1]})
    assert digest({"a": 1}) != digest({"a": "1"})


@pytest.fixture
def copy(tmp_path):
    """A copy of the package, its scripts and the lock that a test may edit."""
    shutil.copytree(ROOT / "src/fairdream", tmp_path / "fairdream", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "workflow/scripts", tmp_path / "scripts")
    shutil.copy(ROOT / "requirements.lock", tmp_path)
    return tmp_path


def of(copy, script):
    return code_digest(copy / "scripts" / script, copy / "fairdream", copy / "requirements.lock")


def stale(copy, edit):
    """Scripts whose digest an edit changes."""
    scripts = [path.name for path in sorted((copy / "scripts").glob("*.py"))]
    before = {script: of(copy, script) for script in scripts}
    edit()
    return {script.removesuffix(".py") for script in scripts if of(copy, script) != before[script]}


def replace(path, old, new):
    def edit():
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    return edit


def test_comments_docstrings_and_formatting_say_nothing(copy):
    def edit():
        for path in [*(copy / "fairdream").rglob("*.py"), *(copy / "scripts").glob("*.py")]:
            # its own formatting, and none of the comments
            text = ast.unparse(ast.parse(path.read_text()))
            text = re.sub(r'^"""', '"""Said otherwise. ', text, count=1)
            path.write_text(f"{text}\n\n# the end\n")

    assert stale(copy, edit) == set()


def test_a_docstring_of_a_function_or_class_says_nothing(copy):
    source = copy / "fairdream/classification/losses.py"
    assert stale(copy, replace(source, "Return the supervised contrastive loss", "Compute it")) == set()
    assert stale(copy, replace(copy / "fairdream/diffusion/latents.py", "A subject's constants", "Things")) == set()


def test_logic_in_a_module_that_is_imported_directly(copy):
    edit = replace(copy / "fairdream/curation/select.py", "(1 - alpha) * centroid", "(2 - alpha) * centroid")
    assert stale(copy, edit) == {"select"}


def test_logic_in_a_module_that_is_imported_on_the_way(copy):
    # `metrics` is imported by `evaluate` alone, `losses` by both stages of the classifier
    assert stale(copy, replace(copy / "fairdream/classification/metrics.py", "100 *", "1 *")) == {"evaluate"}
    assert stale(copy, replace(copy / "fairdream/classification/losses.py", "1 - beta", "2 - beta")) == {
        "pretrain",
        "retrain",
    }
    assert stale(copy, replace(copy / "fairdream/classification/classifier.py", "MEAN = (0.485", "MEAN = (0.5")) == {
        "export",
        "pretrain",
        "retrain",
    }
    assert "finetune" in stale(copy, replace(copy / "fairdream/identity.py", ">> 1", ">> 2"))


def test_logic_in_a_script(copy):
    edit = replace(copy / "scripts/select.py", 'get("centroids")', 'get("other")')
    assert stale(copy, edit) == {"select"}


def test_the_classifier_s_code_is_not_the_adapters(copy):
    sheets = {"contact_sheet", "compare", "clusters"}
    for module in (
        "classification/pretrain",
        "classification/retrain",
        "reporting/tabulate",
        "reporting/cost",
        "reporting/contact_sheets",
        "diffusion/generate",
    ):
        path = copy / f"fairdream/{module}.py"
        touched = stale(copy, lambda path=path: path.write_text(path.read_text() + "\nADDED = 1\n"))
        assert touched == (sheets if path.stem == "contact_sheets" else {path.stem})


def test_a_module_that_moves_makes_nothing_stale(copy):
    # a leaf, one that imports others, and one whose name changes too
    moved = {
        "classification.metrics": "rooms.metrics",
        "classification.retrain": "rooms.retrain",
        "data.defects": "curation.broken",
    }
    assert stale(copy, lambda: move(copy, moved)) == set()
    assert not (copy / "fairdream/classification/metrics.py").exists()
    # it is followed to where it is
    assert stale(copy, replace(copy / "fairdream/rooms/metrics.py", "100 *", "1 *")) == {"evaluate"}


def move(copy, moved):
    """Move modules, by their names in the package, and have all imports follow."""
    for old, new in moved.items():
        target = copy / "fairdream" / f"{new.replace('.', '/')}.py"
        target.parent.mkdir(exist_ok=True)
        (target.parent / "__init__.py").write_text('"""A package."""\n')
        (copy / "fairdream" / f"{old.replace('.', '/')}.py").rename(target)
        before, own = f"fairdream.{old}".rsplit(".", 1)
        package, name = f"fairdream.{new}".rsplit(".", 1)
        for path in [*(copy / "fairdream").rglob("*.py"), *(copy / "scripts").glob("*.py")]:
            text = re.sub(rf"\bfairdream\.{old}\b", f"fairdream.{new}", path.read_text())
            several = rf"^( *)from {before} import (.*, )?{own}\b(?:, )?(.*)$"
            alias = f" as {own}" if name != own else ""

            def apart(line, moved=f"from {package} import {name}{alias}", before=before):
                others = f"{line[2] or ''}{line[3]}".removesuffix(", ")
                return f"{line[1]}{moved}" + (f"\n{line[1]}from {before} import {others}" if others else "")

            path.write_text(re.sub(several, apart, text, flags=re.M))


def test_all_modules_may_move(copy):
    package = copy / "fairdream"
    names = [".".join(path.relative_to(package).with_suffix("").parts) for path in package.glob("*/*.py")]
    # the neutral ones stay what they are in a package that is
    moved = {
        name: f"rooms.{name.replace('.', '_')}"
        for name in names
        if name.split(".")[0] not in NEUTRAL_PACKAGES and not name.endswith("__init__")
    }
    assert len(moved) > 70
    assert stale(copy, lambda: move(copy, moved)) == set()


def test_a_helper_that_is_renamed_makes_its_users_stale(copy):
    def edit():
        for path in (copy / "fairdream").glob("*/*.py"):
            path.write_text(re.sub(r"\bspread_of\b", "width_of", path.read_text()))

    add(copy / "fairdream/classification/metrics.py", "def spread_of():\n    return 1")
    add(copy / "fairdream/curation/centroids.py", "from fairdream.classification.metrics import spread_of")
    assert stale(copy, edit) == {"evaluate", "centroids"}


def add(path, text):
    path.write_text(f"{path.read_text()}\n{text}\n")


HELPERS = ("def helper():\n    return 1", "def helper():\n    return 2")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("from fairdream.one import helper", "from fairdream.two import helper"),
        ("from fairdream import one", "from fairdream import two as one"),
        ("import fairdream.one as own", "import fairdream.two as own"),
        ("from fairdream import one, two", "from fairdream import one as two, two as one"),
        ("from fairdream.one import helper, other", "from fairdream.one import helper as other, other as helper"),
        ("def use():\n    from fairdream.one import helper", "def use():\n    from fairdream.two import helper"),
        (
            "def a():\n    from fairdream.one import helper\ndef b():\n    from fairdream.two import helper",
            "def a():\n    from fairdream.two import helper\ndef b():\n    from fairdream.one import helper",
        ),
        (
            "if TYPE_CHECKING:\n    from fairdream.one import helper\nelse:\n    from fairdream.two import helper",
            "if TYPE_CHECKING:\n    from fairdream.two import helper\nelse:\n    from fairdream.one import helper",
        ),
        ("from fairdream.demo.one import helper", "from fairdream.one import helper"),
        (
            "from fairdream.one import helper\nfrom fairdream.two import helper",
            "from fairdream.two import helper\nfrom fairdream.one import helper",
        ),
        ("import sys, fairdream.one as own", "import os as sys, fairdream.one as own"),
    ],
)
def test_helpers_that_are_exchanged_make_stale(copy, before, after):
    for name, code in zip(("one", "two"), HELPERS, strict=True):
        add_new(copy / f"fairdream/{name}.py", f"{code}\n\ndef other():\n    return 3")
    add_new(copy / "fairdream/demo/one.py", "def helper():\n    return 4")
    path = copy / "fairdream/classification/metrics.py"
    add(path, before)
    assert stale(copy, replace(path, before, after)) == {"evaluate"}
    # and what is imported now counts
    source = copy / ("fairdream/two.py" if "two" in after else "fairdream/one.py")
    assert stale(copy, replace(source, "return", "return 0 +")) == {"evaluate"}


def add_new(path, text):
    assert not path.exists()
    path.write_text(f"{text}\n")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "from fairdream.data import defects, images",
            "from fairdream.data import images\nfrom fairdream.data import defects",
        ),
        ("from fairdream.data import defects", "import fairdream.data.defects as defects"),
        (
            "from fairdream.classification.losses import supcon\nimport fairdream.reporting.cost as c",
            "import fairdream.reporting.cost as c\nfrom fairdream.classification.losses import supcon",
        ),
    ],
)
def test_how_and_in_which_order_the_same_is_imported_says_nothing(copy, before, after):
    path = copy / "fairdream/classification/metrics.py"
    add(path, before)
    assert stale(copy, replace(path, before, after)) == set()


def test_modules_that_import_one_another(copy):
    add_new(copy / "fairdream/one.py", "from fairdream.two import second\ndef first():\n    return second")
    add_new(copy / "fairdream/two.py", "def second():\n    from fairdream.one import first\n    return first, 1")
    add(copy / "fairdream/classification/metrics.py", "from fairdream.one import first")
    assert stale(copy, replace(copy / "fairdream/two.py", "first, 1", "first, 2")) == {"evaluate"}
    assert stale(copy, lambda: move(copy, {"two": "demo.two"})) == set()
    assert stale(copy, replace(copy / "fairdream/one.py", "return second", "return 1")) == {"evaluate"}


def test_a_package_is_a_docstring_so_that_its_modules_can_be_imported_without_each_other():
    for path in (ROOT / "src/fairdream").glob("*/__init__.py"):
        (statement,) = ast.parse(path.read_text()).body
        assert isinstance(statement, ast.Expr), path


def test_what_a_package_itself_defines_counts(copy):
    path = copy / "fairdream/demo/__init__.py"
    add(path, "SIZE = 1")
    add(copy / "fairdream/classification/metrics.py", "from fairdream.demo import SIZE, captions")
    assert stale(copy, replace(path, "SIZE = 1", "SIZE = 2")) == {"evaluate"}
    assert stale(copy, lambda: add(copy / "fairdream/demo/captions.py", "ADDED = 1")) == {"evaluate"}


# How a job is run, and what the user may say: a digest is the same whatever they hold.
NEUTRAL_PACKAGES = {"config", "runtime"}
NEUTRAL = {
    *("__init__", "errors", "config.command_line"),
    *("config.root", "config.datasets", "config.base", "config.names", "config.models", "config.subjects"),
    *("config.swap", "config.finetune", "config.generate", "config.select", "config.training", "config.pretrain"),
    *("config.retrain", "config.baselines", "config.ablations", "config.uncertainty", "config.audits", "config.tables"),
    *("runtime.files", "runtime.job", "runtime.run_snapshot", "runtime.prefetch"),
    *("runtime.warm_server", "runtime.shutdown", "runtime.repairs"),
}


def test_these_modules_are_neutral_and_no_other_that_a_script_reaches(copy, monkeypatch):
    package = copy / "fairdream"
    scripts = sorted((copy / "scripts").glob("*.py"))

    def reached():
        return {Path(path) for script in scripts for path in code_files(script, package)} - set(scripts)

    counted = reached()
    monkeypatch.setattr("fairdream.runtime.code_digest.NEUTRAL", set())
    names = {".".join(path.relative_to(package).with_suffix("").parts) for path in reached() - counted}
    # a script reaches `code_digest` and what it stands on only on the way through `run_snapshot`
    assert names - {"runtime.code_digest", "runtime.syntax"} == NEUTRAL


def test_neutral_modules_say_nothing(copy):
    def edit():
        for name in NEUTRAL:
            add(copy / "fairdream" / f"{name.replace('.', '/')}.py", "ADDED = 1")

    assert stale(copy, edit) == set()


def test_a_package_can_be_neutral_and_its_modules_are_then():
    package = Path("fairdream")
    assert is_neutral(package / "config/datasets.py", package)
    assert is_neutral(package / "config/__init__.py", package)
    assert is_neutral(package / "__init__.py", package)
    # what counts is where it lies, not what it is called
    assert not is_neutral(package / "demo/config.py", package)
    assert not is_neutral(package / "demo/__init__.py", package)
    assert not is_neutral(package / "data/files.py", package)


SAMPLE = '''
"""A module."""
from __future__ import annotations
import os, fairdream.losses as own
from fairdream import metrics
@decorated(1, key=None)
class A(B, metaclass=C):
    """A class."""
    x: int = 1
    def f(self, a, /, b=2, *c, d, e: str = "é", **g) -> list[int]:
        yield from (i for i in range(3) if i)
async def g():
    async with a as b, c: await d
    async for x in y: pass
    else: return
def h(): """Only a docstring."""
try:
    match x:
        case {"a": [1, *_], **rest} | A(b=None) if rest: x @= lambda a=0: ~a
        case _: global y
except* (KeyError, ValueError) as error: raise X from error
finally: del a[1:2, ..., ::3]
print(f"{a!r:>{width}} {b=} {{}} {'nested' + f'{c}'}" "more" if (n := 10) > 1e-3 else 1j, *z, **{**k, True: "\\n"})
'''


def test_a_syntax_tree_says_the_same_in_every_version_of_python():
    source = syntax.read(SAMPLE, "fairdream")
    assert source.tree == "2c4c833d67e1862fa3d58cb2a2fe3371807d32365f2973291bd6d9b19860a7cc"
    assert source.imports == [[("metrics", "fairdream", "metrics"), ("os", "os", ""), ("own", "fairdream.losses", "")]]
    assert source.libraries == {"__future__", "os"}


def test_stages_never_import_each_other():
    stages = {path.stem for path in (ROOT / "workflow/scripts").glob("*.py")}
    paths = [path for path in (ROOT / "src/fairdream").glob("*/*.py") if path.parent.name not in {"config", "cli"}]
    sources = {path.stem: path.read_text() for path in paths if path.stem in stages}
    assert len(sources) > 20
    for stage, text in sources.items():
        found = set(re.findall(r"^\s*from fairdream\.(?!config\b)\w+\.(\w+) import", text, re.M))
        lines = re.findall(r"^\s*from fairdream\.(?!config\b)\w+ import (.+)$", text, re.M)
        found |= {name.split(" as ")[0] for line in lines for name in line.split(", ")}
        assert not found & stages, stage


def test_the_version_of_a_library_counts_where_it_is_used(copy):
    lock = copy / "requirements.lock"

    def pin(name):
        text, count = re.subn(rf"^{name}==\S+", f"{name}==99.9", lock.read_text(), flags=re.M)
        assert count == 1
        return lambda: lock.write_text(text)

    # the cards read adapters' headers by the module that writes them
    assert stale(copy, pin("peft")) == {"finetune", "adapters_card", "images_card"}
    assert stale(copy, pin("scikit-learn")) >= {"subjects"}
    assert stale(copy, pin("open-clip-torch")) >= {"embed", "score"}
    torch = stale(copy, pin("torch"))
    assert torch >= {"finetune", "generate", "embed", "score", "pretrain", "retrain"}
    assert not torch & {"select", "tabulate", "evaluate", "subjects", "split", "index", "manifest", "centroids"}
    # readers of files decide no result
    for name in ("pandas", "pyarrow", "tqdm", "snakemake"):
        assert stale(copy, pin(name)) == set(), name


def test_the_same_code_in_another_folder_is_the_same(copy):
    assert of(copy, "finetune.py") == code_digest(
        ROOT / "workflow/scripts/finetune.py", ROOT / "src/fairdream", ROOT / "requirements.lock"
    )
