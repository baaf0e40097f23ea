"""Figures show the tables' numbers, and sheets the images they name; costs are the benchmarks' seconds."""

import io
import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fairdream.data.image_grid import Frame, draw_sheet
from fairdream.methods import METHODS
from fairdream.reporting import contact_sheets, figures
from fairdream.reporting.ablate import AblateJob, ablate
from fairdream.reporting.cost import CostJob, cost, measured_hours


@pytest.fixture
def drawn(monkeypatch):
    """The canvas that a function of `curves` would save, kept open beside the file."""
    kept = []
    save = figures._save
    monkeypatch.setattr(figures, "_save", lambda canvas, figure: (kept.append(canvas), save(canvas, figure)))
    yield kept
    for canvas in kept:
        matplotlib.pyplot.close(canvas)


def png(color: tuple[int, int, int]) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), color).save(buffer, "png")
    return buffer.getvalue()


def test_bias_curves_go_through_the_means_in_the_order_of_severity(tmp_path, drawn):
    rows = [
        {
            "dataset": "birds",
            "bias": bias,
            "method": method,
            "wga_mean": wga,
            "wga_std": 1,
            "aga_mean": 90,
            "aga_std": 2,
        }
        for method, values in (("erm", (70.0, 5.0, 20.0)), ("lora", (80.0, 60.0, 65.0)))
        for bias, wga in zip(("original", "0.999", "0.95"), values, strict=True)
    ]
    rows.append(rows[0] | {"bias": "average", "wga_mean": 33.0})
    pd.DataFrame(rows).to_csv(tmp_path / "table1.csv", index=False)
    figures.bias_curves(str(tmp_path / "table1.csv"), str(tmp_path / "bias.png"))
    worst, mean = drawn[0].axes
    lines = {line.get_label(): line for line in worst.lines}
    assert list(lines["ERM"].get_ydata()) == [70.0, 20.0, 5.0]
    assert list(lines["LoRA-finetuning"].get_ydata()) == [80.0, 65.0, 60.0]
    assert (lines["ERM"].get_linestyle(), lines["LoRA-finetuning"].get_linestyle()) == ("--", "-")
    assert [label.get_text() for label in mean.get_xticklabels()] == ["original", "0.95", "0.999"]
    band = worst.collections[0].get_paths()[0].vertices
    assert band[:, 1].max() == 71.0
    assert Image.open(tmp_path / "bias.png").size[0] > 300


def test_the_cost_curve_has_a_point_and_a_name_for_each_method(tmp_path, drawn):
    table = pd.DataFrame({"method": ["vanilla", "lora"], "hours": [1.0, 4.5], "wga": [50.0, 70.0], "aga": [80.0, 85.0]})
    table.to_csv(tmp_path / "table3.csv", index=False)
    figures.cost_curve(str(tmp_path / "table3.csv"), str(tmp_path / "cost.png"))
    (axis,) = drawn[0].axes
    assert axis.collections[0].get_offsets().tolist() == [[1.0, 50.0], [4.5, 70.0]]
    assert axis.collections[1].get_offsets().tolist() == [[1.0, 80.0], [4.5, 85.0]]
    assert [text.get_text() for text in axis.texts] == [METHODS["vanilla"].title, METHODS["lora"].title]
    assert (tmp_path / "cost.png").stat().st_size > 1000


def test_histograms_count_all_and_kept_images_and_mark_the_lowest_kept_score(tmp_path, drawn):
    ids = [f"a-land/base/{number}" for number in range(6)] + [f"b-land/base/{number}" for number in range(4)]
    scores = pd.DataFrame({"id": ids, "clip_label": np.linspace(0.1, 0.3, 10)})
    scores[:5].to_parquet(tmp_path / "one.parquet")
    scores[5:].to_parquet(tmp_path / "two.parquet")
    chosen = scores.iloc[[3, 4, 5, 8, 9]].assign(group=["a-land"] * 3 + ["b-land"] * 2, score=[0.5, 0.7, 0.6, 0.9, 0.8])
    chosen.to_parquet(tmp_path / "chosen.parquet")
    shards = [str(tmp_path / name) for name in ("one.parquet", "two.parquet")]
    figures.score_histograms(shards, str(tmp_path / "chosen.parquet"), str(tmp_path / "scores.png"))
    axes = np.array(drawn[0].axes).reshape(2, 2)
    heights = [sum(bar.get_height() for bar in container) for container in axes[0, 0].containers]
    assert heights == [6, 3], "all images and the kept ones of the first group"
    cuts = [axis.lines[0].get_xdata()[0] for axis in axes[1]]
    assert cuts == [0.5, 0.8]


def test_sheets_frame_real_and_generated_images_and_leave_gaps_where_there_are_none(tmp_path, monkeypatch):
    sheets = []
    monkeypatch.setattr(contact_sheets, "draw_sheet", lambda rows, title, figure: sheets.append(rows))
    for number in range(3):
        (tmp_path / f"{number}.png").write_bytes(png((number, 0, 0)))
    split = pd.DataFrame({"path": [f"{n}.png" for n in range(3)], "folder": str(tmp_path), "group": ["g", "g", "h"]})
    split.assign(split=["train", "test", "train"]).to_parquet(tmp_path / "split.parquet")
    chosen = pd.DataFrame({"id": [f"g/s/{n}" for n in range(4)], "group": "g", "shard": "shard"})
    chosen.to_parquet(tmp_path / "chosen.parquet")
    monkeypatch.setattr(contact_sheets, "read_pngs", lambda shard: {f"g/s/{n}": f"image {n}" for n in range(4)})
    paths = str(tmp_path / "split.parquet"), str(tmp_path / "chosen.parquet")
    contact_sheets.contact_sheet(*paths, "sheet.png", columns=2)
    # one training image and a gap, then every second of four images; a group without generated ones has none
    real, gap = Frame(contact_sheets.REAL, tmp_path / "0.png"), Frame("white", None)
    generated = [Frame(contact_sheets.GENERATED, "image 0"), Frame(contact_sheets.GENERATED, "image 2")]
    assert sheets[0][0] == ("g", [real, gap, *generated])
    assert sheets[0][1] == ("h", [Frame(contact_sheets.REAL, tmp_path / "2.png"), gap])
    contact_sheets.compare(paths[0], [paths[1]], ["LoRA"], "compare.png", "g", columns=2)
    assert sheets[1] == [("training", [real]), ("LoRA", generated)]
    members = [{"path": str(tmp_path / f"{n}.png")} for n in range(3)]
    (tmp_path / "g-c00.json").write_text(json.dumps({"images": members}))
    (tmp_path / "index.json").write_text(json.dumps({"g-c00": 3}))
    contact_sheets.clusters(str(tmp_path / "index.json"), "clusters.png", columns=2)
    assert sheets[2] == [("g-c00\n3 images", [real, Frame(contact_sheets.REAL, tmp_path / "1.png")])]


def test_a_sheet_is_a_picture_with_the_frames_colours(tmp_path):
    frames = [Frame("red", png((0, 0, 255))), Frame("white", None), Frame("gold", png((0, 255, 0)))]
    draw_sheet([("row", frames)], "title", str(tmp_path / "sheet.png"))
    pixels = np.asarray(Image.open(tmp_path / "sheet.png").convert("RGB")).reshape(-1, 3).tolist()
    found = {tuple(pixel) for pixel in pixels}
    assert {(0, 0, 255), (0, 255, 0), (255, 0, 0), (255, 215, 0)} <= found


@pytest.fixture
def benchmarks(tmp_path) -> Path:
    for stage, names in {
        "finetune": {"d-original-lora-g": [1800, 3600], "d-0.999-lora_g1-g": [3600]},
        "generate": {"d-any-vanilla-g-base-0": [7200]},
        "score": {},
    }.items():
        folder = tmp_path / "benchmarks" / stage
        folder.mkdir(parents=True)
        for name, seconds in names.items():
            (folder / f"{name}.jsonl").write_text("\n".join(json.dumps({"s": s}) for s in seconds) + "\n")
    return tmp_path / "benchmarks"


def test_hours_are_the_benchmarks_seconds_and_a_repetition_s_count_for_its_method(benchmarks):
    assert measured_hours(benchmarks) == {("finetune", "lora"): 2.0, ("generate", "vanilla"): 2.0}


def test_table_3_sets_hours_beside_mean_accuracies(tmp_path, benchmarks):
    paths = []
    for method, values in {"erm": [10, 20], "vanilla": [30, 50], "lora": [60, 80]}.items():
        for bias, value in zip(("original", "0.999"), values, strict=True):
            path = tmp_path / f"{method}-{bias}.json"
            names = {"dataset": "d", "bias": bias, "method": method, "recipe": METHODS[method].recipe, "seed": "0"}
            numbers = {"wga": float(value), "aga": value + 10.0, "weighted": 0.0}
            path.write_text(json.dumps({**names, "test": numbers}))
            paths.append(str(path))
    files = tmp_path / "table3.csv", tmp_path / "table3.md"
    cost(paths, *map(str, files), CostJob(benchmarks=str(benchmarks)))
    table = pd.read_csv(files[0]).set_index("method")
    assert list(table.index) == ["vanilla", "lora"], "a row for each method with synthetic images"
    assert table.loc["lora", ["finetune_hours", "hours", "wga", "aga"]].tolist() == [2.0, 2.0, 70.0, 80.0]
    assert table.loc["vanilla", ["generate_hours", "hours", "wga"]].tolist() == [2.0, 2.0, 40.0]
    assert table["complexity"].tolist() == ["O(1)", "O(G)"]
    assert "| LoRA-finetuning | O(G) | 2 | 0 | 0 | **70.0** | **80.0** |" in files[1].read_text()


def test_an_ablation_s_line_has_the_mean_and_the_population_deviation(tmp_path):
    paths = []
    for seed, wga in enumerate((50.0, 60.0)):
        path = tmp_path / f"{seed}.json"
        path.write_text(json.dumps({"test": {"wga": wga, "aga": 90.0}}))
        paths.append(str(path))
    line = {"dataset": "d", "bias": "original", "ablation": "alpha", "setting": "0.5", "metrics": paths}
    files = tmp_path / "ablations.csv", tmp_path / "ablations.md"
    ablate(*map(str, files), AblateJob(lines=[line]))
    row = pd.read_csv(files[0]).iloc[0]
    assert (row["seeds"], row["wga_mean"], row["wga_std"], row["aga_std"]) == (2, 55.0, 5.0, 0.0)
    assert "| d | original | alpha | 0.5 | 55.0 ± 5.0 | 90.0 ± 0.0 |" in files[1].read_text()
