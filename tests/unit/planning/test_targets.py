"""What each target asks for, by the configuration alone."""

from pathlib import Path

import pytest
from smallest import ROOT, SMALLEST, changed

from fairdream.config.root import load_config
from fairdream.planning import targets

HERE = "results/waterdigits"


@pytest.fixture
def there(tmp_path, monkeypatch):
    """Make files below an empty folder that the test runs in."""
    monkeypatch.chdir(tmp_path)

    def make(*paths: str) -> None:
        for path in paths:
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).touch()

    return make


def test_metrics_are_of_rows_where_they_exist_at_each_bias_and_seed():
    config = changed(lambda raw: raw.update(seeds=[0, 1]))
    paths = targets.metrics(config, ["erm", "dreambooth_mirrored"])
    erm, mirrored = (
        "{bias}/erm/classifiers/real-ce/seed{seed}/stage1_only.metrics.json",
        "0.999/dreambooth_mirrored/classifiers/clip-supcon/seed{seed}/llr_all.metrics.json",
    )
    expected = [f"{HERE}/{erm.format(bias=bias, seed=seed)}" for bias in ("original", "0.999") for seed in (0, 1)]
    assert paths == expected + [f"{HERE}/{mirrored.format(seed=seed)}" for seed in (0, 1)]
    assert targets.metrics(config, ["erm"], ["0.999"]) == expected[2:]


def test_table_1_is_of_all_rows_and_its_intervals_of_the_predictions_beside_them():
    config = changed()
    metrics = targets.table1_metrics(config)
    assert len(metrics) == len(set(metrics)) == 2 * len(config.methods) - 1  # nothing is swapped at the original bias
    assert targets.table1_predictions(config) == [
        path.removesuffix("metrics.json") + "predictions.parquet" for path in metrics
    ]


def test_table_2_is_of_severe_biases_and_asked_for_only_where_there_are_some():
    config, mild = changed(), changed(lambda raw: raw.update(biases=["original"]))
    assert {path.split("/")[2] for path in targets.table2_metrics(config)} == {"0.999"}
    assert {path.split("/")[3] for path in targets.table2_metrics(config)} == {"gdro", "clustered_dreambooth"}
    names = ["table1", "table3", "ablations", "uncertainty"]
    assert targets.tables(config) == [f"results/tables/{name}.csv" for name in [*names, "table2"]]
    assert targets.tables(mild) == [f"results/tables/{name}.csv" for name in names]


def test_an_ablation_s_classifier_is_asked_for_once():
    paths = targets.ablation_metrics(changed())
    assert len(paths) == len(set(paths))
    own = f"{HERE}/original/clustered_dreambooth/classifiers/clip-supcon/seed0/llr_all.metrics.json"
    assert own in paths
    assert {path.split("/")[2] for path in paths} == {"original"}


def test_figures_are_of_each_method_s_own_images_scores_and_clusters():
    names = {Path(path).stem for path in targets.figures(changed())}
    assert {"bias", "cost"} <= names
    here = {name for name in names if "original" in name}
    drawn = ("vanilla", "lora", "dreambooth", "clustered_dreambooth")
    assert here == {
        *(f"waterdigits-original-{method}" for method in ("ffr", *drawn)),
        *(f"scores-waterdigits-original-{method}" for method in drawn),
        "clusters-waterdigits-original-clustered_dreambooth",
        *(f"compare-waterdigits-original-{group}" for group in SMALLEST["datasets"]["waterdigits"]["train_counts"]),
    }
    assert "waterdigits-0.999-dreambooth_mirrored" in names


def test_without_adapters_nothing_is_compared_and_no_training_is_drawn():
    config = changed(lambda raw: raw.update(methods=["erm", "vanilla"]))
    assert not [path for path in targets.figures(config) if "compare" in path]
    assert targets.training_curves(config) == []


def test_a_row_that_borrows_its_images_has_no_figure_or_audit_of_them():
    config = changed(lambda raw: raw.update(methods=["clustered_dreambooth_gdro"], biases=["original"]))
    assert targets.figures(config) == ["results/figures/bias.png", "results/figures/cost.png"]
    assert targets.audits(config) == [f"{HERE}/audit.md"]
    assert targets.training_curves(config) == []


def test_training_curves_are_of_adapters_of_a_method_s_own():
    names = [Path(path).stem for path in targets.training_curves(changed())]
    methods = ("lora", "dreambooth", "clustered_dreambooth")
    assert names == [f"training-waterdigits-{bias}-{own}" for bias in ("original", "0.999") for own in methods]


def test_audits_are_of_training_sets_and_of_all_synthetic_images():
    paths = targets.audits(changed())
    assert paths[0] == f"{HERE}/audit.md"
    assert f"{HERE}/original/ffr/quality.csv" in paths
    assert f"{HERE}/0.999/dreambooth_mirrored/quality.csv" in paths
    assert f"{HERE}/original/dreambooth_mirrored/quality.csv" not in paths
    assert not [path for path in paths if "/erm/" in path]


def test_only_a_data_set_with_a_download_is_fetched():
    paper = load_config(ROOT / "config.yaml")
    expected = [name for name, own in paper.datasets.items() if own.download]
    assert expected
    assert targets.fetched_datasets(paper) == [f"{paper.results}/{name}/fetched.json" for name in expected]
    assert targets.fetched_datasets(changed()) == []


def test_a_report_has_the_pages_of_other_tables_once_all_their_classifiers_are_there(there):
    config = changed()
    own = [
        f"results/tables/{name}.html"
        for name in ("table1", "table3", "uncertainty", "hours", "configuration", "versions")
    ]
    assert targets.report_pages(config) == own
    metrics = targets.table2_metrics(config)
    there(*metrics[1:])
    assert targets.report_pages(config) == own
    there(*metrics)
    assert targets.report_pages(config) == [*own, "results/tables/table2.html"]
    there(*targets.ablation_metrics(config))
    assert targets.report_pages(config) == [*own, "results/tables/ablations.html", "results/tables/table2.html"]


def test_a_report_has_the_audits_that_need_no_new_scores(there):
    config = changed()
    ffr = f"{HERE}/original/ffr/quality.csv"
    expected = [path for path in targets.audits(config) if path.endswith("quality.csv") and "/ffr/" not in path]
    assert targets.report_audits(config) == [f"{HERE}/audit.html", *expected]
    there(ffr)
    assert targets.report_audits(config) == [f"{HERE}/audit.html", ffr, *expected]
