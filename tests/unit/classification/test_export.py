"""A classifier that is taken away: which one, its card, and predicting with it from the command line."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

torch = pytest.importorskip("torch")

from fairdream.classification import classifier  # noqa: E402
from fairdream.classification.export import ExportJob, export, interval  # noqa: E402
from fairdream.classification.predict import find, predict  # noqa: E402
from fairdream.classification.truth import Columns, group_accuracies, match  # noqa: E402
from fairdream.config.models import EncoderModel  # noqa: E402
from fairdream.errors import UserError  # noqa: E402

CONFIG = ExportJob(
    method="LoRA-finetuning",
    bias="0.999",
    dataset="birds",
    origin="a folder",
    labels={"dark": "dark thing", "light": "light thing"},
    attributes={"x": "on x", "y": "on y"},
    train_counts={"dark-x": 10, "dark-y": 1, "light-x": 1, "light-y": 10},
    synthetic=None,
    encoder="small_cnn",
)


def metrics(folder, seed, validation, test):
    def part(wga):
        groups = {name: {"correct": round(wga * 4), "count": 400} for name in CONFIG.train_counts}
        return {"wga": wga, "aga": wga, "sample": wga, "weighted": wga, "groups": groups}

    path = folder / f"{seed}.metrics.json"
    path.write_text(json.dumps({"seed": str(seed), "validation": part(validation), "test": part(test)}))
    return str(path)


@pytest.fixture
def exported(tmp_path):
    """The exported folder of three seeds; the one that is best on validation images is the worst on test images."""
    weights, results = [], []
    for seed, (validation, test) in enumerate([(60.0, 90.0), (70.0, 50.0), (70.0, 80.0)]):
        torch.manual_seed(seed)
        network = classifier.build(EncoderModel(name="small_cnn"), None, 2)
        weights.append(str(tmp_path / f"{seed}.safetensors"))
        classifier.save(network, weights[-1], ["dark", "light"], 32)
        results.append(metrics(tmp_path, seed, validation, test))
    out = [str(tmp_path / "model" / name) for name in ("model.safetensors", "config.json", "README.md")]
    export(weights, results, *out, CONFIG)
    return tmp_path / "model"


def test_the_card_names_a_group_without_a_test_image(exported, tmp_path):
    content = json.loads((tmp_path / "0.metrics.json").read_text())
    del content["test"]["groups"]["light-x"]
    (tmp_path / "0.metrics.json").write_text(json.dumps(content))
    out = [str(tmp_path / "other" / name) for name in ("model.safetensors", "config.json", "README.md")]
    export([str(tmp_path / "0.safetensors")], [str(tmp_path / "0.metrics.json")], *out, CONFIG)
    card = (tmp_path / "other/README.md").read_text()
    assert "**No test image of light-x: these numbers say nothing of it.**" in card
    assert "| light-x | 1 | 0 | – | – |" in card
    assert "No test image" not in (exported / "README.md").read_text()


@pytest.fixture
def images(tmp_path):
    """Ten images in a folder with spaces in its name, and their table."""
    folder = tmp_path / "new images"
    (folder / "deep er").mkdir(parents=True)
    rows = []
    for number in range(10):
        path = f"deep er/{number}.png" if number % 2 else f"{number}.JPG"
        Image.fromarray(np.random.default_rng(number).integers(0, 255, (40, 50, 3), np.uint8)).save(folder / path)
        rows.append({"path": path, "label": "dark" if number < 5 else "light", "attribute": "xy"[number % 2]})
    pd.DataFrame(rows).to_csv(folder / "table.csv", index=False)
    return folder


def test_validation_chooses_the_seed_and_the_test_set_does_not(exported, tmp_path):
    assert (exported / "model.safetensors").read_bytes() == (tmp_path / "1.safetensors").read_bytes()
    card = (exported / "README.md").read_text()
    assert "Worst group: **50.0** (dark-x)" in card
    assert "Worst group of each seed: 90.0, 50.0, 80.0" in card
    assert "| dark-y | 1 | 400 | 50.0 | 45.1 to 54.9 |" in card
    assert json.loads((exported / "config.json").read_text())["labels"] == ["dark", "light"]


def test_the_interval_is_wilsons():
    """Newcombe 1998, table I: 81 of 263 and 0 of 20."""
    assert interval(81, 263) == pytest.approx((25.53, 36.62), abs=0.01)
    assert interval(0, 20) == pytest.approx((0.0, 16.11), abs=0.01)


def test_predictions_are_those_of_the_network(exported, images):
    table, broken = predict(exported, [images])
    assert not broken
    assert len(table) == 10
    network, labels, size = classifier.load(str(exported / "model.safetensors"))
    pixels = classifier.decode(enumerate(table["path"]), len(table), size, str(exported))
    logits = classifier.predict(network, pixels, torch.device("cpu")).softmax(1).numpy()
    assert table[["p_dark", "p_light"]].to_numpy() == pytest.approx(logits, abs=1e-6)
    assert list(table["predicted"]) == [labels[number] for number in logits.argmax(1)]
    assert np.allclose(table["probability"], logits.max(1))


def test_group_accuracies_are_counted(images):
    paths = [str(path) for path in sorted(images.rglob("*.*")) if path.suffix != ".csv"]
    table = pd.DataFrame({"path": paths, "predicted": "dark", "p_dark": 1.0, "p_light": 0.0})
    text = group_accuracies(table, match(paths, ["dark", "light"], images / "table.csv")[0])
    assert "dark-x   100.0 %  3 of 3" in text
    assert "light-y    0.0 %  0 of 3" in text
    assert "worst group 0.0 %, mean over groups 50.0 %, all images 50.0 %" in text
    # under the names that the user's table has
    own = pd.read_csv(images / "table.csv").set_axis(["file", "shade", "corner"], axis=1)
    own.to_csv(images / "own.csv", index=False)
    rows, notes = match(paths, ["dark", "light"], images / "own.csv", Columns("file", "shade", "corner"))
    assert group_accuracies(table, rows) == text
    assert not notes


def run(*arguments, cwd):
    command = [sys.executable, "-m", "fairdream", "predict", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=120)


def test_the_command_writes_a_csv_and_tells_of_groups_and_broken_images(exported, images, tmp_path):
    (images / "broken.png").write_bytes(b"no image")
    done = run(exported, images, "--output", tmp_path / "out.csv", "--table", images / "table.csv", cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    assert "broken.png" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(pd.read_csv(tmp_path / "out.csv")) == 10
    assert "worst group" in done.stdout
    (images / "broken.png").unlink()
    # also behind an option
    behind = run(exported, "--output", tmp_path / "again.csv", images, cwd=tmp_path)
    assert behind.returncode == 0, behind.stderr
    assert (tmp_path / "again.csv").read_text() == (tmp_path / "out.csv").read_text()
    misspelt = run(exported, images, "--outptu", "a.csv", cwd=tmp_path)
    assert misspelt.returncode == 2
    assert "No such option '--outptu'" in misspelt.stderr
    again = run(exported, images, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert again.stdout == (tmp_path / "out.csv").read_text()
    # the images that a table names, and no others
    pd.read_csv(images / "table.csv").head(3).to_csv(images / "three.csv", index=False)
    three = run(exported, "--table", images / "three.csv", cwd=tmp_path)
    assert three.returncode == 0, three.stderr
    assert len(three.stdout.splitlines()) == 4
    # its paths may start from a folder below it, as those of `fairdream new-dataset`
    (images / "three.csv").rename(images.parent / "three.csv")
    below = run(exported, "--table", images.parent / "three.csv", cwd=tmp_path)
    assert below.returncode == 0, below.stderr
    assert below.stdout == three.stdout
    nothing = run(exported, cwd=tmp_path)
    assert nothing.returncode == 2
    assert "give images" in nothing.stderr


@pytest.mark.parametrize("mistake", ["no model", "no classifier", "no image", "no column", "no match", "no class"])
def test_a_mistake_is_named(exported, images, tmp_path, mistake):
    other = tmp_path / "other.safetensors"
    other.write_bytes(b"\0" * 64)
    (tmp_path / "short.csv").write_text("name,label\na.png,dark\n")
    (tmp_path / "foreign.csv").write_text("path,label\na.png,dark\n")
    first = next(path for path in sorted(images.rglob("*.*")) if path.suffix != ".csv")
    (tmp_path / "codes.csv").write_text(f"path,label\n{first},1\n")
    calls = {
        "no model": (lambda: predict(tmp_path / "none", [images]), "no classifier there"),
        "no classifier": (lambda: predict(other, [images]), "is no classifier of FairDream"),
        "no image": (lambda: predict(exported, [exported]), "no image that can be read"),
        "no column": (lambda: match(find([images])[0], ["dark", "light"], tmp_path / "short.csv"), "column path"),
        "no class": (lambda: match(find([images])[0], ["dark", "light"], tmp_path / "codes.csv"), "dark, light"),
        "no match": (lambda: match(find([images])[0], ["dark", "light"], tmp_path / "foreign.csv"), "none of its"),
    }
    call, words = calls[mistake]
    with pytest.raises(UserError, match=words):
        call()


def test_folders_are_searched_as_data_sets_are_and_what_is_passed_over_is_told(exported, images, tmp_path):
    plain = run(exported, images, cwd=tmp_path)
    assert not plain.stderr
    (images / "3.heic").write_bytes(b"none")
    for name in ("._0.JPG", "deep er/._1.png", ".ipynb_checkpoints/0.png", "__MACOSX/0.png", "Thumbs.db"):
        (images / name).parent.mkdir(exist_ok=True)
        (images / name).write_bytes(b"none")
    (images / "deep er").rename(tmp_path / "elsewhere")
    (images / "deep er").symlink_to(tmp_path / "elsewhere")
    odd = run(exported, images, cwd=tmp_path)
    assert odd.returncode == 0
    assert odd.stdout == plain.stdout
    kinds = "2 ._*, 1 .heic, 1 .ipynb_checkpoints/, 1 Thumbs.db, 1 __MACOSX/"
    assert odd.stderr == f"{images}: passed over, as no images: {kinds}\n"
    (tmp_path / "elsewhere/up").symlink_to(images)
    loop = run(exported, images, cwd=tmp_path)
    assert loop.returncode == 1
    assert "deep er/up: a loop: this link leads to" in loop.stderr
    none = run(exported, images / "__MACOSX", tmp_path / "nothing", cwd=tmp_path)
    assert "nothing" in none.stderr


def test_a_folder_of_other_formats_alone_is_told_as_such(exported, tmp_path):
    (tmp_path / "phone").mkdir()
    (tmp_path / "phone/a.HEIC").write_bytes(b"none")
    done = run(exported, tmp_path / "phone", cwd=tmp_path)
    assert done.returncode == 1
    assert "passed over, as no images: 1 .heic" in done.stderr
    assert "no image that can be read: none found" in done.stderr


def test_a_table_may_name_images_in_another_unicode_form(exported, images, tmp_path):
    on_disk = "deep er/cre\u0301me.png"
    (images / "deep er/1.png").rename(images / on_disk)
    text = (images / "table.csv").read_text(encoding="utf-8").replace("deep er/1.png", "deep er/cr\u00e9me.png")
    (images / "table.csv").write_text(text, encoding="utf-8")
    named = run(exported, "--table", images / "table.csv", cwd=tmp_path)
    assert named.returncode == 0, named.stderr
    assert on_disk in named.stdout
    assert named.stderr.count(" of ") == 4
    assert sum(int(line.split(" of ")[1]) for line in named.stderr.splitlines() if " of " in line) == 10
    searched = run(exported, images, "--table", images / "table.csv", cwd=tmp_path)
    assert searched.stderr == named.stderr
