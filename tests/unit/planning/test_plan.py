"""The plan: which adapters, shards and swaps a configuration means, without any data."""

from collections import Counter
from pathlib import Path

import pytest
import yaml

from fairdream.config.root import Config, load_config, validate_config
from fairdream.errors import UserError
from fairdream.methods import METHODS
from fairdream.planning import plan

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def paper() -> Config:
    return load_config(ROOT / "config.yaml")


def changed(edit) -> Config:
    """The smallest configuration after an edit of its plain values."""
    raw = yaml.safe_load((ROOT / "tests/workflow/smallest.yaml").read_text())
    raw["models"]["diffusion"] = {"id": "./tiny-sd"}
    edit(raw)
    return validate_config(raw)


CLUSTERED = "clustered_dreambooth"


def adapters(config: Config) -> set[tuple[str, str, str, str]]:
    """Every (data set, bias, method, subject) that some shard of an own adapter needs."""
    return {
        (dataset, bias, plan.adapter_method(method), shard.subject)
        for dataset in config.datasets
        for bias in plan.biases(config)
        for method in plan.methods_at(config, dataset, bias)
        if METHODS[method].subjects is not None
        for shard in plan.shards(config, dataset, bias, method)
    }


@pytest.mark.parametrize(("smallest", "k"), [(56, 3), (1387, 20), (103, 5), (400, 20), (9, 1), (1, 1), (31, 2)])
def test_k_follows_the_smallest_group(smallest, k):
    def edit(raw):
        own = raw["datasets"]["waterdigits"]
        del own["clusters"]
        own["train_counts"] = {"even-land": 5000, "even-water": smallest, "odd-land": 2000, "odd-water": 5000}

    assert plan.number_of_clusters(changed(edit), "waterdigits", CLUSTERED) == k


def test_the_paper_states_the_k_that_the_rule_gives(paper):
    for name, dataset in paper.datasets.items():
        by_rule = paper.model_copy(update={"datasets": {name: dataset.model_copy(update={"clusters": None})}})
        assert plan.number_of_clusters(by_rule, name, CLUSTERED) == plan.number_of_clusters(paper, name, CLUSTERED)
    assert {name: plan.number_of_clusters(paper, name, CLUSTERED) for name in paper.datasets} == {
        "waterbirds": 3,
        "celeba": 20,
        "utkface": 5,
    }


def test_the_paper_trains_204_adapters(paper):
    found = adapters(paper)
    assert len(found) == 204
    assert Counter((bias, method) for _, bias, method, _ in found) == {
        ("original", "lora"): 12,
        ("original", "dreambooth"): 12,
        ("original", "clustered_dreambooth"): 112,
        ("0.999", "lora"): 6,
        ("0.999", "dreambooth"): 6,
        ("0.999", "clustered_dreambooth"): 56,
    }
    for dataset in paper.datasets:
        for bias in plan.biases(paper):
            trained = plan.trained_groups(paper, dataset, bias)
            for _, _, _, subject in (row for row in found if row[:2] == (dataset, bias)):
                assert any(subject == group or subject.startswith(f"{group}-c") for group in trained)


def test_the_paper_draws_480000_images_because_those_without_adapters_serve_both_biases(paper):
    images = {}
    for dataset in paper.datasets:
        for bias in plan.biases(paper):
            for method in paper.methods:
                if not METHODS[method].synthetic:
                    continue
                shards = plan.shards(paper, dataset, bias, method)
                per_group = Counter()
                for shard in shards:
                    per_group[shard.group] += shard.stop - shard.start
                assert per_group == dict.fromkeys(plan.groups(paper, dataset), 5000)
                for shard in shards:
                    images[(dataset, plan.image_bias(method, bias), method, shard)] = shard.stop - shard.start
    # the paper's 480,000 = 3 sets x 2 biases x 4 methods x 4 groups x 5,000, once for vanilla SD, and once for FFR
    assert sum(images.values()) == 480_000 - 3 * 4 * 5000 + 3 * 4 * 5000
    assert max(images.values()) == paper.generate.shard_size


def test_the_remainder_goes_to_the_first_subjects_and_shards_cover_each_subject_once():
    def edit(raw):
        raw["datasets"]["waterdigits"]["clusters"] = 3
        raw["generate"] |= {"images_per_group": 47, "shard_size": 6}

    shards = plan.shards(changed(edit), "waterdigits", "original", "clustered_dreambooth")
    drawn = {}
    for shard in shards:
        assert shard.start == drawn.get((shard.group, shard.subject), 0), "a gap or an overlap"
        assert 0 < shard.stop - shard.start <= 6
        drawn[(shard.group, shard.subject)] = shard.stop
    for group in ("even-land", "even-water", "odd-land", "odd-water"):
        assert [drawn[(group, f"{group}-c{c:02d}")] for c in range(3)] == [16, 16, 15]
    assert shards[0].name == "000000-000006"


@pytest.mark.parametrize("method", ["vanilla", "dreambooth", "clustered_dreambooth"])
def test_more_images_keep_every_full_shard(method):
    def with_images(count):
        def edit(raw):
            raw["generate"] |= {"images_per_group": count, "shard_size": 10}

        return set(plan.shards(changed(edit), "waterdigits", "original", method))

    few, many = with_images(47), with_images(112)
    full = {shard for shard in few if shard.stop - shard.start == 10}
    assert full
    assert full < many


def test_swapped_groups_at_a_severe_ratio_and_below_the_smallest_model():
    def edit(raw):
        raw["biases"] = ["original", 0.97, 0.999]
        raw["swap"]["min_images_for_own_model"] = 16
        raw["datasets"]["waterdigits"]["clusters"] = 1

    config = changed(edit)
    assert plan.swapped_groups(config, "waterdigits", "original") == []
    # 475 * 0.03 / 0.97 = 14.7 images are left
    for bias in ("0.97", "0.999"):
        assert plan.swapped_groups(config, "waterdigits", bias) == ["even-water", "odd-land"]
        assert plan.trained_groups(config, "waterdigits", bias) == ["even-land", "odd-water"]
    assert plan.source_group(config, "waterdigits", "0.999", "even-water") == "even-land"
    assert plan.source_group(config, "waterdigits", "0.999", "odd-water") == "odd-water"
    few = changed(lambda raw: raw.update(biases=["original", 0.97]))
    assert plan.swapped_groups(few, "waterdigits", "0.97") == []


def test_swapped_images_come_from_the_aligned_group_of_their_class():
    config = changed(lambda raw: None)
    for shard in plan.shards(config, "waterdigits", "0.999", "dreambooth"):
        assert shard.subject == {"even": "even-land", "odd": "odd-water"}[shard.group.split("-")[0]]
    assert {s.subject for s in plan.shards(config, "waterdigits", "0.999", "vanilla")} == {plan.NO_SUBJECT}


def test_a_mirrored_method_has_rows_only_where_a_group_is_swapped():
    config = changed(lambda raw: None)
    assert "dreambooth_mirrored" not in plan.methods_at(config, "waterdigits", "original")
    assert plan.methods_at(config, "waterdigits", "0.999") == config.methods
    swapped = {
        (method, group): plan.is_swapped_prompt(config, "waterdigits", "0.999", method, group)
        for method in ("vanilla", "dreambooth", "dreambooth_mirrored")
        for group in plan.groups(config, "waterdigits")
    }
    assert {key for key, value in swapped.items() if value} == {
        ("dreambooth", "even-water"),
        ("dreambooth", "odd-land"),
        *(("dreambooth_mirrored", group) for group in plan.groups(config, "waterdigits")),
    }
    # the mirrored rows train nothing
    assert {method for _, _, method, _ in adapters(config)} == {"lora", "dreambooth", "clustered_dreambooth"}


def test_a_group_too_small_for_its_clusters_is_named_before_the_first_job():
    def edit(raw):
        raw["datasets"]["waterdigits"]["clusters"] = 7

    with pytest.raises(UserError) as error:
        plan.check_plan(changed(edit))
    for word in ("waterdigits", "even-water", "25", "28", "original", "datasets.waterdigits.clusters"):
        assert word in str(error.value)
    plan.check_plan(changed(lambda raw: raw["datasets"]["waterdigits"].update(clusters=6)))


def test_without_clusters_a_small_group_is_no_problem():
    def edit(raw):
        raw["datasets"]["waterdigits"]["clusters"] = 7
        raw["methods"] = ["erm", "lora", "dreambooth"]

    plan.check_plan(changed(edit))


@pytest.mark.parametrize(
    ("ablations", "words"),
    [
        ({"clusters": [3, 9]}, "even-water has 25 training images.*needs 36.*lower ablations.clusters"),
        ({"method": "lora", "clusters": [2]}, "lora has no clusters"),
        ({"method": "erm"}, "erm has no synthetic images"),
    ],
)
def test_an_ablation_that_cannot_be_is_refused(ablations, words):
    with pytest.raises(UserError, match=words):
        plan.check_plan(changed(lambda raw: raw["ablations"].update(ablations)))


def test_ffr_without_prompts_of_its_own_is_refused():
    def edit(raw):
        del raw["datasets"]["waterdigits"]["prompts"]["ffr"]
        raw["methods"] = ["erm", "ffr"]

    with pytest.raises(UserError, match=r"datasets\.waterdigits\.prompts\.ffr"):
        plan.check_plan(changed(edit))


def three_by_three(raw):
    """Three classes by three attributes, uneven, with a group of two images and one of none."""
    own = raw["datasets"]["waterdigits"]
    del own["clusters"]
    own["labels"] = {name: f"{name} digit" for name in ("low", "mid", "top")}
    own["attributes"] = {name: f"on {name}" for name in ("land", "sea", "ice")}
    own["train_counts"] = {"low-land": 400, "low-sea": 60, "low-ice": 50, "mid-land": 40, "mid-sea": 300, "mid-ice": 70}
    own["train_counts"] |= {"top-land": 2, "top-sea": 0, "top-ice": 90}
    own["prompts"]["ffr"]["labels"] = {name: [name] for name in own["labels"]}
    own["prompts"]["ffr"]["attributes"] = {name: [name, f"much {name}"] for name in own["attributes"]}


def test_three_by_three_groups_swap_the_rare_ones_and_cluster_the_others():
    config = changed(three_by_three)
    assert plan.swapped_groups(config, "waterdigits", "original") == ["top-land", "top-sea"]
    severe = plan.swapped_groups(config, "waterdigits", "0.999")
    assert len(severe) == 6
    assert {plan.source_group(config, "waterdigits", "0.999", group) for group in severe} == {
        "low-land",
        "mid-sea",
        "top-ice",
    }
    drawn = {shard.group for shard in plan.shards(config, "waterdigits", "original", CLUSTERED)}
    assert drawn == set(plan.groups(config, "waterdigits"))
    assert {
        shard.subject for shard in plan.shards(config, "waterdigits", "original", "lora") if "top" in shard.group
    } == {"top-ice"}


def test_an_empty_group_is_not_the_smallest_of_the_rule_for_k():
    def edit(raw):
        three_by_three(raw)
        raw["datasets"]["waterdigits"]["train_counts"]["top-land"] = 61

    assert plan.number_of_clusters(changed(edit), "waterdigits", CLUSTERED) == 2  # of mid-land's 40


def test_a_class_without_a_training_image_is_refused():
    def edit(raw):
        three_by_three(raw)
        raw["datasets"]["waterdigits"]["train_counts"]["top-land"] = 0
        raw["datasets"]["waterdigits"]["train_counts"]["top-ice"] = 0

    with pytest.raises(UserError, match="the class top has no training image"):
        changed(edit)


def test_an_own_split_that_leaves_an_adapter_nothing_to_learn_is_refused():
    def edit(raw):
        three_by_three(raw)
        own = raw["datasets"]["waterdigits"]
        own["splits"] = [
            {"bias": 0.999, "file": "x.csv", "train_counts": own["train_counts"] | {"top-ice": 0, "top-land": 2}}
        ]

    with pytest.raises(UserError, match=r"top-ice, its class's aligned one, has no training image at bias 0\.999"):
        plan.check_plan(changed(edit))


def test_splits_must_come_from_the_tables_or_be_held_out():
    def edit(raw, **values):
        raw["datasets"]["waterdigits"]["tables"] = [{"file": "metadata.csv", "split": None}]
        raw["datasets"]["waterdigits"] |= values

    assert changed(lambda raw: edit(raw, held_out={"validation": 0.1, "test": 0.2}))
    for values in ({}, {"held_out": {"validation": 0.1}}):
        with pytest.raises(UserError, match=r"exactly one table must name the split column.*held_out\.test"):
            changed(lambda raw, values=values: edit(raw, **values))


def test_a_group_whose_inferred_attribute_is_too_unsure_is_swapped():
    def edit(raw):
        counts = raw["datasets"]["waterdigits"]["train_counts"]
        raw["swap"]["min_images_for_own_model"] = 10
        sure = dict.fromkeys(counts, 1.0) | {"even-water": 0.39, "even-land": 0.0}
        raw["datasets"]["waterdigits"]["inferred"] = {"by": "words", "true_test": True, "confidence": sure}

    # 25 x 0.39 is less than 10; an aligned group is what others are drawn from
    assert plan.swapped_groups(changed(edit), "waterdigits", "original") == ["even-water"]
