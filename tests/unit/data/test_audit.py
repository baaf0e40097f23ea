"""The audit of a training set: its measures against loops in float64, its verdicts and what it suggests."""

import copy
import math
from pathlib import Path

import pandas as pd
import pytest
import yaml

from fairdream.config.root import validate_config
from fairdream.data.audit import AuditJob, audit, clusters_for, measure, suggest, verdicts_of
from fairdream.data.groups import aligned_groups
from fairdream.planning import params, plan

ROOT = Path(__file__).resolve().parents[3]
PAPER = yaml.safe_load((ROOT / "config.yaml").read_text())


def job(dataset="waterbirds", edit=lambda raw: None) -> AuditJob:
    raw = copy.deepcopy(PAPER)
    edit(raw)
    return AuditJob(**params.read_by(validate_config(raw), "audit", {"dataset": dataset}))


def counts_of(dataset: str, bias: str) -> pd.Series:
    return pd.Series(plan.training_counts(validate_config(copy.deepcopy(PAPER)), dataset, bias)).sort_index()


def cramers_v(cells: list[list[int]]) -> float:
    """Cramér's V, a cell at a time."""
    total = math.fsum(map(math.fsum, cells))
    chi2 = 0.0
    for i, row in enumerate(cells):
        for j, cell in enumerate(row):
            expected = math.fsum(row) * math.fsum(other[j] for other in cells) / total
            assert cells[i][j] == cell
            chi2 += (cell - expected) ** 2 / expected
    return math.sqrt(chi2 / (total * min(len(cells) - 1, len(cells[0]) - 1)))


@pytest.mark.parametrize(
    "cells", [[[475, 25], [25, 475]], [[3498, 184], [56, 1057]], [[5, 9, 1], [2, 30, 7]], [[10, 3], [4, 8], [1, 90]]]
)
def test_the_measures_equal_loops_over_the_cells(cells):
    labels, attributes = "pqr"[: len(cells)], "xyz"[: len(cells[0])]
    train = pd.Series({f"{y}-{a}": cells[i][j] for i, y in enumerate(labels) for j, a in enumerate(attributes)})
    aligned = aligned_groups(train.to_dict())
    found = measure(train, aligned)
    assert found["cramers_v"] == pytest.approx(cramers_v(cells), abs=1e-12)
    total = sum(map(sum, cells))
    assert found["bias_ratio"] == pytest.approx(sum(train[group] for group in aligned.values()) / total)
    assert found["attribute_only"] == pytest.approx(
        sum(max(row[j] for row in cells) for j in range(len(attributes))) / total
    )
    assert found["majority"] == pytest.approx(max(map(sum, cells)) / total)
    for i, y in enumerate(labels):
        for j, a in enumerate(attributes):
            chance = sum(cells[i]) * sum(row[j] for row in cells) / total
            assert found["expected"][f"{y}-{a}"] == pytest.approx(chance)
    assert found["lowest_bias_ratio"] == pytest.approx(
        min(train[aligned[y]] / sum(cells[i]) for i, y in enumerate(labels))
    )


def test_independent_labels_have_no_association_and_bound_ones_all_of_it():
    independent = pd.Series({"p-x": 30, "p-y": 60, "q-x": 20, "q-y": 40})
    bound = pd.Series({"p-x": 30, "p-y": 0, "q-x": 0, "q-y": 40})
    aligned = {"p": "p-x", "q": "q-y"}
    assert measure(independent, aligned)["cramers_v"] == pytest.approx(0, abs=1e-12)
    assert measure(independent, aligned)["p_value"] == pytest.approx(1)
    assert measure(bound, aligned)["cramers_v"] == pytest.approx(1)
    assert measure(bound, aligned)["attribute_only"] == 1


def test_a_label_without_images_does_not_break_the_measures():
    train = pd.Series({"p-x": 30, "p-y": 5, "q-x": 4, "q-y": 20, "r-x": 0, "r-y": 0})
    found = measure(train, {"p": "p-x", "q": "q-y", "r": "r-x"})
    assert found["cramers_v"] == pytest.approx(cramers_v([[30, 5], [4, 20]]))


def test_the_suggested_k_is_the_paper_s_for_its_three_data_sets():
    for dataset, k in (("waterbirds", 3), ("celeba", 20), ("utkface", 5)):
        config = job(dataset)
        for bias in config.biases:
            assert suggest(bias, counts_of(dataset, bias), 0.8, config)["k"] == k


def test_k_is_no_larger_than_the_smallest_group_with_an_adapter_can_fill():
    rule = {"images_per_cluster": 20, "max_clusters": 20, "min_cluster_size": 4, "smallest": 100, "stated": 5}
    train = pd.Series({"p-x": 300, "p-y": 9, "q-x": 2, "q-y": 400})
    assert clusters_for(train, ["q-x"], rule)[0] == 2
    k, reason = clusters_for(train, ["p-y", "q-x"], rule)
    assert (k, "configuration" in reason) == (5, False)
    assert "the configuration says 5" in clusters_for(train, ["q-x"], rule)[1]


def test_verdicts_go_by_what_the_method_is_made_for():
    config = job()
    methods = {own["name"]: own for own in config.methods}
    train = pd.Series({"landbird-land": 3498, "landbird-water": 19, "waterbird-land": 11, "waterbird-water": 1057})
    found = {name: verdicts_of(own, train, []) for name, own in methods.items()}
    assert found["vanilla"] == dict.fromkeys(train.index, "ok")
    assert found["lora"]["landbird-water"] == "few"
    # three clusters of four
    assert found["clustered_dreambooth"]["waterbird-land"] == "too small"
    assert found["clustered_dreambooth"]["landbird-water"] == "few"
    assert found["erm"]["landbird-land"] == "ok"
    swapped = verdicts_of(methods["dreambooth"], train, ["waterbird-land"])
    assert swapped["waterbird-land"] == "swapped"
    assert verdicts_of(methods["gdro"], train, ["waterbird-land"])["waterbird-land"] == "few"


def test_what_is_too_small_is_what_the_plan_refuses():
    def shrink(raw):
        raw["datasets"]["waterbirds"]["train_counts"]["waterbird-land"] = 11

    raw = copy.deepcopy(PAPER)
    shrink(raw)
    config = validate_config(raw)
    with pytest.raises(Exception, match="waterbird-land has 11"):
        plan.check_plan(config)
    own = next(m for m in job(edit=shrink).methods if m["name"] == "clustered_dreambooth")
    counts = pd.Series(plan.training_counts(config, "waterbirds", "original"))
    assert verdicts_of(own, counts, [])["waterbird-land"] == "too small"


def test_the_suggestion_depends_on_association_clusters_and_swap():
    config = job()
    train = counts_of("waterbirds", "original")
    biased = suggest("original", train, 0.867, config)
    assert (biased["method"], biased["k"], biased["beside"]) == ("clustered_dreambooth", 3, "gdro")
    assert suggest("original", train, 0.05, config)["method"] == "erm"
    severe = suggest("0.999", counts_of("waterbirds", "0.999"), 0.99, config)
    assert severe["method"] == "clustered_dreambooth"
    assert "waterbird-land" in severe["method_reason"]
    assert severe["beside"] == ""

    def small(raw):
        raw["datasets"]["waterbirds"].update(clusters=1)
        raw["datasets"]["waterbirds"]["train_counts"]["waterbird-land"] = 25
        raw["methods"].append("dreambooth_mirrored")

    config = job(edit=small)
    assert suggest("original", train.replace(56, 25), 0.8, config)["method"] == "dreambooth"
    assert suggest("0.999", counts_of("waterbirds", "0.999"), 0.99, config)["beside"] == "dreambooth_mirrored"


def test_the_page_and_tables_of_three_labels_and_two_attributes(tmp_path):
    groups = {"p-x": 400, "p-y": 30, "q-x": 70, "q-y": 500, "r-x": 90, "r-y": 110}

    def edit(raw):
        own = raw["datasets"]["waterbirds"]
        own.update(labels={name: name for name in "pqr"}, attributes={"x": "x", "y": "y"}, train_counts=groups)
        own.update(label_values=None, attribute_values=None)
        own["prompts"].pop("ffr")
        raw["methods"].remove("ffr")

    config = job(edit=edit)
    tables = []
    for bias in config.biases:
        some = groups if bias == "original" else {**groups, "p-y": 1}
        rows = [("train", group) for group, n in some.items() for _ in range(n)] + [("test", "p-x")] * 60
        tables.append(tmp_path / f"{bias}.parquet")
        pd.DataFrame(rows, columns=["split", "group"]).to_parquet(tables[-1])
    out = [tmp_path / name for name in ("groups.csv", "bias.csv", "page.md", "figure.png")]
    audit([str(path) for path in tables], *map(str, out), config)
    table = pd.read_csv(out[0], dtype={"bias": str}).set_index(["bias", "group"])
    assert table.loc["original", "train"].to_dict() == groups
    assert table.loc[("0.999", "p-y"), "train"] == 1
    assert table.loc[("original", "p-x"), "test"] == 60
    assert table.groupby("bias")["share_of_class"].sum().round(6).tolist() == [3.0, 3.0]
    assert table.loc[("0.999", "p-y"), "clustered_dreambooth"] == "swapped"
    measures = pd.read_csv(out[1], dtype={"bias": str}).set_index("bias")
    assert measures.loc["original", "cramers_v"] == pytest.approx(
        cramers_v([[400, 30], [70, 500], [90, 110]]), abs=1e-5
    )
    page = out[2].read_text()
    assert "Bias level 0.999" in page
    assert "p-y" in page.partition("Test groups of fewer")[2]
    assert out[3].stat().st_size > 5_000
