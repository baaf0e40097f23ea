"""Table 1: the numbers against the standard library's, the columns and the marks."""

import json
import statistics
from pathlib import Path

import pandas as pd
import pytest

from fairdream.methods import METHODS
from fairdream.reporting.tabulate import tabulate

COLUMNS = "dataset,bias,method,synthetic,seeds,wga_mean,wga_std,aga_mean,aga_std,weighted_mean,weighted_std"
# method -> bias -> WGA of each seed
WGA = {
    "erm": {"original": [90.0, 92.0, 94.0], "0.999": [1.0, 2.0, 6.0]},
    "vanilla": {"original": [50.0, 51.0, 55.0], "0.999": [40.0, 41.0, 42.0]},
    "lora": {"original": [70.0, 70.0, 76.0], "0.999": [60.0, 61.0, 62.0]},
    "dreambooth": {"original": [60.0, 61.0, 62.0], "0.999": [45.0, 46.0, 47.0]},
    "lora_mirrored": {"0.999": [10.0, 10.0, 10.0]},
}


@pytest.fixture
def metrics(tmp_path):
    paths = []
    for dataset in ("birds_2", "faces"):
        for method, biases in WGA.items():
            for bias, values in biases.items():
                for seed, value in enumerate(values):
                    path = tmp_path / f"{dataset}-{method}-{bias}-{seed}.json"
                    numbers = {"wga": value, "aga": value / 2 + 50, "weighted": value / 4 + 70, "sample": 0.0}
                    names = {"dataset": dataset, "bias": bias, "method": method, "seed": str(seed)}
                    names["recipe"] = METHODS[method].recipe
                    path.write_text(json.dumps({**names, "test": numbers, "validation": {"wga": 0.0}}))
                    paths.append(str(path))
    return paths


def run(tmp_path, metrics, mark_all_rows=False, **values):
    files = [tmp_path / f"table1.{ending}" for ending in ("csv", "md", "tex")]
    tabulate(metrics, *map(str, files), mark_all_rows, **values)
    return [file.read_text() for file in files]


def test_the_csv_is_tidy(tmp_path, metrics):
    text = run(tmp_path, metrics)[0]
    assert text.splitlines()[0] == COLUMNS
    table = pd.read_csv(tmp_path / "table1.csv", dtype={"bias": str})
    for row in table[table["bias"] != "average"].itertuples():
        values = WGA[row.method][row.bias]
        assert row.seeds == len(values)
        assert row.wga_mean == pytest.approx(statistics.fmean(values), abs=1e-4)
        assert row.wga_std == pytest.approx(statistics.pstdev(values), abs=1e-4)
        assert row.aga_mean == pytest.approx(statistics.fmean(v / 2 + 50 for v in values), abs=1e-4)
        assert row.weighted_std == pytest.approx(statistics.pstdev(v / 4 for v in values), abs=1e-4)
        assert row.synthetic == (row.method != "erm")
    # data sets as they come, biases with rising severity, methods in the paper's order
    assert table["dataset"].tolist() == sorted(table["dataset"])
    birds = table[table["dataset"] == "birds_2"]
    assert birds["bias"].drop_duplicates().tolist() == ["original", "0.999", "average"]
    assert birds.loc[birds["bias"] == "0.999", "method"].tolist() == list(WGA)


def test_average_rows_are_means_of_means_for_methods_with_every_bias(tmp_path, metrics):
    run(tmp_path, metrics)
    table = pd.read_csv(tmp_path / "table1.csv", dtype={"bias": str})
    rows = table[(table["bias"] == "average") & (table["dataset"] == "faces")].set_index("method")
    assert list(rows.index) == ["erm", "vanilla", "lora", "dreambooth"]
    assert rows.loc["erm", "wga_mean"] == pytest.approx((92 + 3) / 2)
    assert rows[["wga_std", "aga_std", "weighted_std"]].isna().all(axis=None)


def test_what_is_to_be_known_of_the_attributes_stands_below_the_table(tmp_path, metrics):
    _, markdown, latex = run(tmp_path, metrics, notes=["faces: the attributes were inferred"])
    assert markdown.endswith("\n**faces: the attributes were inferred.**\n")
    assert latex.endswith("% faces: the attributes were inferred.\n")


def test_a_group_without_a_test_image_is_named_below_the_table(tmp_path, metrics):
    for path in metrics:
        content = json.loads(Path(path).read_text())
        content["test"]["without_images"] = ["cat-snow"] if content["dataset"] == "faces" else []
        Path(path).write_text(json.dumps(content))
    _, markdown, latex = run(tmp_path, metrics)
    told = "faces: no test image of cat-snow, so the accuracies are those of the other groups."
    assert markdown.endswith(f"\n\n**{told}**\n")
    assert latex.endswith(f"% {told}\n")
    assert "birds_2: no test" not in markdown


def test_one_bias_has_no_average(tmp_path, metrics):
    run(tmp_path, [path for path in metrics if "-original-" in path])
    assert set(pd.read_csv(tmp_path / "table1.csv")["bias"]) == {"original"}


def cells(markdown, dataset, method):
    (row,) = [line for line in markdown.splitlines() if line.startswith(f"| {dataset} | {method} |")]
    return [cell.strip() for cell in row.strip("|").split("|")[3:]]


def test_best_and_second_are_marked_among_the_rows_with_synthetic_data(tmp_path, metrics):
    markdown = run(tmp_path, metrics)[1]
    assert cells(markdown, "faces", "ERM")[0] == "92.0 ± 1.6"
    assert cells(markdown, "faces", "LoRA-finetuning")[0] == "**72.0 ± 2.8**"
    assert cells(markdown, "faces", "DreamBooth")[0] == "<u>61.0 ± 0.8</u>"
    assert cells(markdown, "faces", "Vanilla SD")[0] == "52.0 ± 2.2"
    assert cells(markdown, "faces", "LoRA-finetuning")[4] == "**66.5**"
    # a method without a row at a bias has an empty cell
    assert cells(markdown, "faces", "LoRA-finetuning, mirrored")[:2] == ["", ""]


def test_all_rows_can_be_marked_instead(tmp_path, metrics):
    markdown = run(tmp_path, metrics, mark_all_rows=True)[1]
    assert cells(markdown, "faces", "ERM")[0] == "**92.0 ± 1.6**"
    assert cells(markdown, "faces", "LoRA-finetuning")[0] == "<u>72.0 ± 2.8</u>"
    assert cells(markdown, "faces", "DreamBooth")[0] == "61.0 ± 0.8"
    assert "among all rows" in markdown


def test_rows_that_print_the_same_are_marked_the_same(tmp_path, metrics):
    for path in metrics:
        content = json.loads(Path(path).read_text())
        if content["method"] == "dreambooth":
            content["test"]["wga"] = 72.01
            Path(path).write_text(json.dumps(content))
    markdown = run(tmp_path, metrics)[1]
    assert cells(markdown, "faces", "LoRA-finetuning")[0] == "**72.0 ± 2.8**"
    assert cells(markdown, "faces", "DreamBooth")[0] == "**72.0 ± 0.0**"
    assert cells(markdown, "faces", "Vanilla SD")[0] == "52.0 ± 2.2"


def test_the_latex_is_well_formed(tmp_path, metrics):
    latex = run(tmp_path, metrics)[2]
    lines = latex.splitlines()
    columns = lines[0].removeprefix(r"\begin{tabular}{").removesuffix("}")
    assert columns == "llc" + "rr" * 3
    assert lines[-1] == r"\end{tabular}"
    assert latex.count("{") == latex.count("}")
    assert latex.count("$") % 2 == 0
    rules = {r"\toprule", r"\midrule", r"\bottomrule"}
    assert latex.count(r"\midrule") == 2, "one above each data set"
    for line in lines[1:-1]:
        if line in rules:
            continue
        assert line.endswith(r" \\")
        spans = line.count(r"\multicolumn{2}")
        assert line.count("&") + 1 + spans == len(columns), line
    assert r"birds\_2" in latex
    assert r"\textbf{72.0 $\pm$ 2.8}" in latex
    assert "±" not in latex


def test_the_order_of_files_changes_no_number(tmp_path, metrics):
    first = pd.read_csv(tmp_path / "table1.csv") if run(tmp_path, metrics) else None
    run(tmp_path, metrics[::-1])
    second = pd.read_csv(tmp_path / "table1.csv")
    keys = ["dataset", "bias", "method"]
    pd.testing.assert_frame_equal(
        first.sort_values(keys, ignore_index=True), second.sort_values(keys, ignore_index=True)
    )
