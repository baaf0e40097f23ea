"""Wrong inputs that only a whole workflow meets: Snakemake's own reading, its paths, and the start of a run."""

import copy
import os
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import yaml
from conftest import SMALLEST, copy_project, run_snakemake
from PIL import Image
from refusals import documented

pytestmark = pytest.mark.slow
RAW = yaml.safe_load(SMALLEST.read_text())
# what a shell, a table, a pattern or a format string would take apart
ODD = 'it\'s "one" $(touch pwned) `touch pwned` ; & %s'
COUNTS = {"cat-in": 6, "cat-out": 4, "dog-in": 4, "dog-out": 6}


def own_data(project: Path, images: str = "images", edit: Callable[[dict], object] = lambda raw: None) -> None:
    """Put a small data set of its own into a project, and nothing else into its configuration."""
    home = project / "data"
    rows = []
    for group, count in COUNTS.items():
        for split, number in [("train", n) for n in range(count)] + [("test", 90), ("validation", 91)]:
            name = f"{number} of {group}, {ODD}\n.png"
            (home / images).mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8), (number, len(rows), 9)).save(home / images / name)
            rows.append((name, *group.split("-"), split))
    pd.DataFrame(rows, columns=["path", "label", "attribute", "split"]).to_csv(home / "table.csv", index=False)
    raw = copy.deepcopy(RAW)
    raw["methods"], raw["biases"] = ["erm"], ["original"]
    raw["ablations"]["method"] = "lora"
    raw["datasets"] = {
        "pets": {
            "folder": "data",
            "images": images,
            "origin": "drawn by the test",
            "tables": [{"file": "table.csv"}],
            "labels": {"cat": "cat", "dog": "dog"},
            "attributes": {"in": "in a house", "out": "in a garden"},
            "train_counts": COUNTS,
            "clusters": 1,
            "prompts": {
                "group": "photo of a {label} {attribute}",
                "subject": "photo of a {token} {label}",
                "swapped": "photo of a {label} {attribute}",
            },
        }
    }
    edit(raw)
    (project / "config.yaml").write_text(yaml.safe_dump(raw, sort_keys=False, allow_unicode=True))


def test_quotes_spaces_and_commands_in_every_path_are_text(tmp_path):
    project = copy_project(tmp_path / ODD.replace("`touch pwned` ", ""), SMALLEST)
    results = f"results of {ODD}"
    own_data(project, f"images of {ODD}", lambda raw: raw.update(results=results))
    done = run_snakemake(project, "check_data", timeout=120)
    assert done.returncode == 0, done.stdout[-4000:]
    table = pd.read_parquet(project / results / "pets/index.parquet")
    assert len(table) == sum(COUNTS.values()) + 2 * len(COUNTS)
    assert all((project / "data" / path).is_file() for path in table["path"])
    assert not list(tmp_path.rglob("pwned"))
    assert "Nothing to be done" in run_snakemake(project, "check_data", timeout=60).stdout


def late_name(project: Path) -> None:
    """Check the data, and then put a file beside them whose name is not UTF-8."""
    own_data(project)
    assert run_snakemake(project, "check_data", timeout=120).returncode == 0
    name = next((project / "data/images").iterdir())
    name.rename(name.with_name(os.fsdecode(b"caf\xe9.png")))


def late_manifest(project: Path) -> None:
    """Check the data, and then damage the manifest."""
    own_data(project)
    assert run_snakemake(project, "check_data", timeout=120).returncode == 0
    (project / "results/pets/manifest.parquet").write_bytes(b"PAR1 and so on")


def write(text: bytes) -> Callable[[Path], object]:
    return lambda project: (project / "config.yaml").write_bytes(text)


def setting(section: str, key: str, value: object) -> Callable[[Path], None]:
    return lambda project: own_data(project, edit=lambda raw: raw[section].update({key: value}))


# name; what is planted; the documented part of the message, if it is ours; other words; exit
CASES = [
    ("an open bracket", write(b"seeds: [0\nseed: 1\n"), "Config file is not valid JSON or YAML", ["WorkflowError"], 1),
    ("a key with a typing error", setting("finetune", "rnak", 4), "unknown key", ["finetune.rnak"], 1),
    (
        "a scheduler with a typing error",
        setting("generate", "scheduler", "DDMScheduler"),
        "diffusers has no",
        ["DDIM"],
        1,
    ),
    (
        "a folder without data",
        lambda project: own_data(project, edit=lambda raw: raw["datasets"]["pets"].update(folder="gone")),
        "not found",
        ["pets: gone", "Get it: drawn by the test"],
        1,
    ),
    ("a name that is not UTF-8, later", late_name, "whose name is not UTF-8", [r"caf\xe9.png"], 1),
    ("a damaged manifest", late_manifest, None, ["manifest"], 0),
]


@pytest.mark.parametrize(("plant", "message", "words", "status"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_a_dry_run_tells(tmp_path, plant, message, words, status):
    project = copy_project(tmp_path / "project", SMALLEST)
    plant(project)
    done = run_snakemake(project, "-n", timeout=60)
    assert done.returncode == status, done.stdout
    assert "Traceback" not in done.stdout
    for word in [*words, message or ""]:
        assert word in done.stdout, done.stdout
    assert message is None or message in documented()


def test_a_damaged_image_stops_before_anything_of_a_gpu(tmp_path):
    project = copy_project(tmp_path / "project", SMALLEST)
    own_data(project)
    next((project / "data/images").iterdir()).write_bytes(b"")
    done = run_snakemake(project, timeout=120)
    assert done.returncode == 1
    assert "1 image(s) cannot be opened" in done.stdout
    assert "Traceback" not in done.stdout
    assert not list((project / "results").rglob("embeddings*"))
    assert not list((project / "results").rglob("stage1*"))


def test_a_folder_with_a_typing_error_costs_no_finished_run_its_index(tmp_path):
    project = copy_project(tmp_path / "project", SMALLEST)
    own_data(project)
    assert run_snakemake(project, "check_data", timeout=120).returncode == 0
    before = (project / "results/pets/index.parquet").read_bytes()
    config = (project / "config.yaml").read_text()
    (project / "config.yaml").write_text(config.replace("folder: data\n", "folder: daat\n"))
    for arguments in (["-n"], ["check_data"]):
        done = run_snakemake(project, *arguments, timeout=120)
        assert done.returncode == 1
        assert "pets: daat not found" in done.stdout
    assert (project / "results/pets/index.parquet").read_bytes() == before
    # and what was read is of use after the data are gone
    (project / "config.yaml").write_text(config)
    (project / "data").rename(project / "elsewhere")
    assert "not found" not in run_snakemake(project, "-n", timeout=120).stdout
    # but not to be read again: an edit makes the index stale
    code = project / "src/fairdream/data/index.py"
    code.write_text(code.read_text() + "\n\nEDITED = True\n")
    done = run_snakemake(project, "check_data", timeout=120)
    assert done.returncode == 1
    assert "pets: data not found" in done.stdout
    assert (project / "results/pets/index.parquet").read_bytes() == before
