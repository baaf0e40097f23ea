"""Digests change with what decides a result, and with nothing else."""

import ast
import re
import shutil
from pathlib import Path

import pytest

from fairdream.identity import code_digest, digest, seed_of

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
        for path in [*(copy / "fairdream").glob("*.py"), *(copy / "scripts").glob("*.py")]:
            # its own formatting, and none of the comments
            text = ast.unparse(ast.parse(path.read_text()))
            text = re.sub(r'^"""', '"""Said otherwise. ', text, count=1)
            path.write_text(f"{text}\n\n# the end\n")

    assert stale(copy, edit) == set()


def test_a_docstring_of_a_function_or_class_says_nothing(copy):
    source = copy / "fairdream/losses.py"
    assert stale(copy, replace(source, "Return the supervised contrastive loss", "Compute it")) == set()
    assert stale(copy, replace(copy / "fairdream/lessons.py", "A subject's constants", "Things")) == set()


def test_logic_in_a_module_that_is_imported_directly(copy):
    edit = replace(copy / "fairdream/select.py", "(1 - alpha) * centroid", "(2 - alpha) * centroid")
    assert stale(copy, edit) == {"select"}


def test_logic_in_a_module_that_is_imported_on_the_way(copy):
    # `metrics` is imported by `evaluate` alone, `losses` by both stages of the classifier
    assert stale(copy, replace(copy / "fairdream/metrics.py", "100 *", "1 *")) == {"evaluate"}
    assert stale(copy, replace(copy / "fairdream/losses.py", "1 - beta", "2 - beta")) == {"pretrain", "retrain"}
    assert stale(copy, replace(copy / "fairdream/classifier.py", "MEAN = (0.485", "MEAN = (0.5")) == {
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
    for module in ("pretrain", "retrain", "tabulate", "cost", "plot", "generate"):
        path = copy / f"fairdream/{module}.py"
        touched = stale(copy, lambda path=path: path.write_text(path.read_text() + "\nADDED = 1\n"))
        assert touched == (sheets if module == "plot" else {module})


def test_stages_never_import_each_other():
    stages = {path.stem for path in (ROOT / "workflow/scripts").glob("*.py")}
    for stage in stages & {path.stem for path in (ROOT / "src/fairdream").glob("*.py")}:
        text = (ROOT / f"src/fairdream/{stage}.py").read_text()
        found = set(re.findall(r"^\s*from fairdream\.(\w+) import", text, re.M))
        found |= {
            name for line in re.findall(r"^\s*from fairdream import (.+)$", text, re.M) for name in line.split(", ")
        }
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
