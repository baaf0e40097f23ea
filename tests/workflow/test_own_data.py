"""The worked example: from an archive of labelled images to a table, three classes by three attributes."""

import os
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import ROOT, copy_project, jobs_in, needs_models, planned, run_snakemake
from PIL import Image
from processes import run

LABELS, ATTRIBUTES = ("circle", "square", "cross"), ("red", "green", "blue")
# the attribute that goes with the class, three sizes of the others, and two groups with too few images or none
SIZES = {
    ("circle", "red"): 16,
    ("square", "green"): 18,
    ("cross", "blue"): 14,
    ("cross", "red"): 2,
    ("cross", "green"): 0,
}
OTHERS = 9


def draw(label: str, attribute: str, number: int) -> Image.Image:
    """A pale shape on a ground of the attribute's colour."""
    pixels = np.random.default_rng([number, len(label)]).integers(0, 40, (32, 32, 3), np.uint8)
    pixels[..., ATTRIBUTES.index(attribute)] += 90
    y, x = np.mgrid[-16:16, -16:16]
    shape = {"circle": x**2 + y**2 < 80, "square": (abs(x) < 8) & (abs(y) < 8), "cross": (abs(x) < 3) | (abs(y) < 3)}
    pixels[shape[label]] += 100
    return Image.fromarray(pixels)


def archive(folder: Path) -> Path:
    """A zip of images in folders by class and colour: no table and no split."""
    with zipfile.ZipFile(folder / "shapes.zip", "w") as file:
        for label in LABELS:
            for attribute in ATTRIBUTES:
                for number in range(SIZES.get((label, attribute), OTHERS)):
                    path = folder / "image.png"
                    draw(label, attribute, number).save(path)
                    file.write(path, f"shapes/{label}/{attribute}/{number:02d}.png")
    return folder / "shapes.zip"


@pytest.fixture
def shapes(tmp_path):
    """The project with the shapes' configuration as `fairdream new-dataset` writes it, and what that printed."""
    project = copy_project(tmp_path / "project", ROOT / "tests/workflow/smallest.yaml")
    command = [sys.executable, "-m", "fairdream", "new-dataset", "shapes", "--folder", str(archive(tmp_path))]
    environment = {**os.environ, "PYTHONPATH": str(project / "src")}
    done = run(*command, "--validation", "0.2", cwd=project, env=environment, timeout=60)
    assert done.returncode == 0, done.stdout
    return project, done.stdout


def options(project: Path, **values) -> list[str]:
    """Snakemake's options for the configuration after an edit of its plain values."""
    path = project / "config/shapes.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | values, sort_keys=False))
    return ["--configfile", "config/shapes.yaml"]


@needs_models
def test_an_archive_becomes_a_configuration_whose_dry_run_lists_every_job(shapes):
    project, told = shapes
    words = " ".join(told.split())
    assert "cross-green 0 0 0 drawn by the swap" in words
    assert "cross-red 1 0 1 drawn by the swap" in words
    assert "circle-red 10 3 3 goes with its class" in words
    assert not (project / "results").exists()
    done = run_snakemake(project, "-n", "--configfile", "config/shapes.yaml", timeout=120)
    assert done.returncode == 0, done.stdout
    found, jobs = planned(done.stdout), jobs_in(done.stdout)
    # seven groups have an adapter of their own for LoRA, DreamBooth and, of one cluster each, Clustered DreamBooth
    assert found["finetune"] == 3 * 7
    # every row with synthetic images draws all nine groups, and all but FFR's are scored
    assert found["generate"] == 6 * 9
    assert found["score"] == 5 * 9
    every = {f"{label}-{attribute}" for label in LABELS for attribute in ATTRIBUTES}
    assert {job.wildcards["group"] for job in jobs if job.rule == "generate"} == every

    command = [sys.executable, "-m", "fairdream", "trial", "shapes", "--", "--dry-run"]
    trial = run(*command, cwd=project, env={**os.environ, "PYTHONPATH": str(project / "src")}, timeout=120)
    assert trial.returncode == 0, trial.stdout
    assert {key: planned(trial.stdout)[key] for key in ("finetune", "generate", "pretrain")} == {
        "finetune": 7,
        "generate": 9,
        "pretrain": 2,
    }


@needs_models
@pytest.mark.slow
def test_three_classes_by_three_attributes_run_to_a_table_figures_and_a_classifier(shapes):
    project, _ = shapes
    methods = ["erm", "clustered_dreambooth", "gdro", "self", "dfr"]
    # where every conflicting group is swapped, and one has no image at all
    own = options(project, biases=[0.999], methods=methods)
    results = "results/shapes"
    card = f"{results}/shapes/0.999/clustered_dreambooth/model/README.md"
    table, intervals = (f"{results}/tables/{name}.csv" for name in ("table1", "uncertainty"))
    names = ("shapes-0.999-clustered_dreambooth", "compare-shapes-0.999-cross-green")
    sheets = [f"{results}/figures/{name}.png" for name in names]
    done = run_snakemake(project, table, intervals, card, *sheets, *own, warm=True, timeout=550)
    assert done.returncode == 0, done.stdout[-6000:]
    rows = pd.read_csv(project / table)
    assert list(rows["method"]) == methods
    assert rows["wga_mean"].between(0, 100).all()
    weights = project / results / "shapes/0.999/clustered_dreambooth"
    chosen = pd.read_parquet(weights / "selected/clip.parquet").groupby("group").size()
    assert len(chosen) == 9
    assert chosen.min() == chosen.max() == 5  # 75 % of seven images of every group, the empty one too
    command = [sys.executable, "-m", "fairdream", "predict", str(weights / "model"), "data/shapes/cross"]
    told = run(*command, cwd=project, env={**os.environ, "PYTHONPATH": str(project / "src")}, timeout=60).stdout
    assert "p_circle,p_cross,p_square" in told
    again = run_snakemake(project, table, *own, timeout=120)
    assert "Nothing to be done" in again.stdout
