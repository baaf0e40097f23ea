"""Three small data sets in their authors' own forms, through the whole workflow."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import ROOT, run_snakemake
from PIL import Image

TRAIN = {"small": 9, "large": 12}


def draw(path: Path, label: int, attribute: int, number: int) -> None:
    """A bright square for the label on a ground of the attribute's colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng([label, attribute, number]).integers(0, 30, (40, 32, 3), np.uint8)
    pixels[..., 1 + attribute] += 90
    if label:
        pixels[12:26, 8:22] += 100
    Image.fromarray(pixels).save(path)


def images(counts: tuple[int, int] = (3, 3)) -> list[tuple[int, int, int, int]]:
    """Label, attribute, split code and number: more where label and attribute agree."""
    rows = []
    for label in (0, 1):
        for attribute in (0, 1):
            train = TRAIN["large" if label == attribute else "small"]
            for code, count in enumerate((train, *counts)):
                rows += [(label, attribute, code, number + 100 * code) for number in range(count)]
    return rows


def waterbirds(folder: Path) -> None:
    home = folder / "data/waterbird_complete95_forest2water2"
    lines = []
    for number, (label, attribute, code, key) in enumerate(images()):
        name = f"{number:03d}.Bird/{key}_{label}{attribute}.jpg"
        draw(home / name, label, attribute, key)
        lines.append((number, name, label, code, attribute, "/p/place.jpg"))
    columns = ["img_id", "img_filename", "y", "split", "place", "place_filename"]
    pd.DataFrame(lines, columns=columns).to_csv(home / "metadata.csv", index=False)


def celeba(folder: Path) -> None:
    home = folder / "data/celeba"
    attributes, parts = [], []
    for number, (label, attribute, code, key) in enumerate(images(), 1):
        name = f"{number:06d}.jpg"
        # the aligned group of dark hair is male, of blond hair female
        draw(home / "img_align_celeba" / name, label, attribute, key)
        attributes.append(f"{name} -1 {2 * label - 1:2d} {1 - 2 * attribute:2d}")
        parts.append(f"{name} {code}")
    text = "\n".join([str(len(attributes)), "5_o_Clock_Shadow Blond_Hair Male ", *attributes])
    (home / "list_attr_celeba.txt").write_text(text + "\n")
    (home / "list_eval_partition.txt").write_text("\n".join(parts) + "\n")


def utkface(folder: Path) -> dict[str, int]:
    home = folder / "data/utkface"
    listed = []
    for number, (label, attribute, code, key) in enumerate(images()):
        # most males are children, most females adults
        age = 30 if label == attribute == 1 or (label, attribute) == (0, 1) else 3
        name = f"{age}_{label}_2_{20170000000000000 + number}.jpg.chip.jpg"
        draw(home / "images" / name, label, attribute, key)
        listed.append((name, ("train", "validation", "test")[code]))
    draw(home / "images/61_1_20170109142408075.jpg.chip.jpg", 1, 1, 999)
    pd.DataFrame(listed, columns=["path", "split"]).to_csv(home / "list.csv", index=False)
    command = [sys.executable, "-m", "fairdream", "utkface", str(home), "--split", str(home / "list.csv")]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "left out: 1, a name without four parts" in printed
    counts = yaml.safe_load(printed.split("train_counts:")[1])
    assert sorted(counts.values()) == [9, 9, 12, 12]
    return counts


@pytest.fixture
def three(paper):
    """The paper's three data sets, a few images each, with the smallest values."""
    raw = yaml.safe_load((ROOT / "config.yaml").read_text())
    small = yaml.safe_load((ROOT / "tests/workflow/smallest.yaml").read_text())
    waterbirds(paper)
    celeba(paper)
    counts = {
        "waterbirds": {"landbird-land": 12, "landbird-water": 9, "waterbird-land": 9, "waterbird-water": 12},
        "celeba": {"dark-male": 12, "dark-female": 9, "blond-male": 9, "blond-female": 12},
        "utkface": utkface(paper),
    }
    for name, dataset in raw["datasets"].items():
        dataset["train_counts"], dataset["clusters"] = counts[name], 2
    for table in raw["datasets"]["celeba"]["tables"]:
        table["file"] = table["file"].replace(".csv", ".txt")
    for section in set(small) - {"results", "methods", "biases", "datasets"}:
        raw[section] = small[section]
    raw["biases"], raw["methods"] = ["original"], ["erm", "ffr", "lora", "clustered_dreambooth", "gdro", "self"]
    (paper / "config.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))
    return paper


@pytest.mark.slow
def test_the_authors_forms_run_to_the_table(three):
    checked = run_snakemake(three, "check_data", timeout=200)
    assert checked.returncode == 0, checked.stdout[-4000:]
    index = pd.read_parquet(three / "results/celeba/index.parquet")
    assert len(index) == 42 + 4 * 6
    done = run_snakemake(three, warm=True, timeout=850)
    assert done.returncode == 0, done.stdout[-6000:]
    table = pd.read_csv(three / "results/tables/table1.csv")
    assert set(table["dataset"]) == {"waterbirds", "celeba", "utkface"}
    assert set(table["method"]) == {"erm", "ffr", "lora", "clustered_dreambooth", "gdro", "self"}
    assert len(table) == 18
    again = run_snakemake(three, timeout=120)
    assert "Nothing to be done" in again.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (
            lambda home: (home / "celeba/img_align_celeba/000005.jpg").unlink(),
            ["1 image(s) of the table are missing", "000005.jpg (row 7 of list_attr_celeba.txt)"],
        ),
        (
            lambda home: (home / "celeba/img_align_celeba/000005.jpg").write_bytes(
                (home / "celeba/img_align_celeba/000005.jpg").read_bytes()[:300]
            ),
            ["1 image(s) cannot be opened", "000005.jpg"],
        ),
        (
            lambda home: (home / "celeba/list_eval_partition.txt").write_text(
                (home / "celeba/list_eval_partition.txt").read_text().replace("000007.jpg 0", "000007.jpg 7")
            ),
            ["list_eval_partition.txt: row 7: partition is '7'; allowed: 0, 1, 2"],
        ),
    ],
)
def test_a_broken_data_set_stops_at_the_check(three, edit, words):
    edit(three / "data")
    done = run_snakemake(three, "check_data", timeout=200)
    assert done.returncode != 0
    logs = (three / "results/logs/index/celeba.log").read_text()
    for word in words:
        assert word in logs
        assert word in done.stdout, "the log's last lines are shown"
