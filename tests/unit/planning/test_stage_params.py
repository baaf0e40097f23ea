"""What each job reads of the configuration: exactly what changes its result."""

import copy
from pathlib import Path

import pytest
import yaml

from fairdream.config.root import Config, validate_config
from fairdream.methods import METHODS
from fairdream.planning import params, plan, report_params, stage_params

ROOT = Path(__file__).resolve().parents[3]
PAPER = yaml.safe_load((ROOT / "config.yaml").read_text())


def changed(edit=lambda raw: None) -> Config:
    """The paper's configuration with a row beyond it, after an edit of its plain values."""
    raw = copy.deepcopy(PAPER)
    raw["methods"].append("dreambooth_mirrored")
    edit(raw)
    return validate_config(raw)


def every_job(config: Config) -> dict[tuple, str]:
    """The text that Snakemake compares for each job of the run."""
    jobs: dict[tuple, object] = {("tabulate",): report_params.tabulate(config), ("waterdigits",): {}}
    for role in ("diffusion", "clip", "encoder"):
        jobs["fetch_model", role] = stage_params.fetch_model(config, role)
    for dataset in config.datasets:
        for stage in (stage_params.manifest, stage_params.index, stage_params.embed):
            jobs[stage.__name__, dataset] = stage(config, dataset)
        for group in plan.groups(config, dataset):
            jobs["score", dataset, group] = stage_params.score(config, dataset, group)
        for bias in plan.biases(config):
            jobs["split", dataset, bias] = stage_params.split(config, dataset, bias)
            for method in plan.methods_at(config, dataset, bias):
                here = (dataset, bias, method)
                row = METHODS[method]
                jobs["pretrain", *here] = stage_params.pretrain(config, dataset, method, row.loss)
                jobs["retrain", *here] = stage_params.retrain(config, dataset, method, row.loss, row.recipe)
                for seed in config.seeds:
                    jobs["evaluate", *here, seed] = stage_params.evaluate(
                        config, dataset, bias, method=method, seed=seed
                    )
                if not row.synthetic:
                    continue
                jobs["select", *here] = stage_params.select(config, dataset, bias, method, row.selection)
                images = plan.image_bias(method, bias)
                for shard in plan.shards(config, dataset, bias, method):
                    own = (dataset, images, method, shard.group)
                    jobs["generate", *own, shard.subject] = stage_params.generate(config, *own)
                    if row.subjects and not row.adapters_of:
                        trained = (*here, shard.subject)
                        jobs["finetune", *trained] = stage_params.finetune(config, *trained)
                        jobs["subjects", *here] = stage_params.subjects(config, *here)
    return {key: repr(params.as_params(value)) for key, value in jobs.items()}


BASE = every_job(changed())


def stale(edit) -> set[tuple]:
    """Jobs of the unedited run whose text an edit changes."""
    after = every_job(changed(edit))
    assert BASE.keys() <= after.keys()
    return {key for key in BASE if BASE[key] != after[key]}


def test_an_override_for_one_method_touches_its_adapters_alone():
    touched = stale(lambda raw: raw["finetune"].update(overrides={"lora": {"steps": 1000}}))
    assert touched == {key for key in BASE if key[0] == "finetune" and key[3] == "lora"}
    assert len(touched) == 18


@pytest.mark.parametrize(
    ("section", "key", "values", "rule", "methods"),
    [
        ("pretrain", "celeba", {"image_size": 96}, "pretrain", set(PAPER["methods"]) | {"dreambooth_mirrored"}),
        ("pretrain", "erm@celeba", {"image_size": 96}, "pretrain", {"erm"}),
        ("retrain", "ft_all@celeba", {"batch_size": 96}, "retrain", {"ffr"}),
        ("finetune", "celeba", {"rank": 96}, "finetune", {"lora", "dreambooth", "clustered_dreambooth"}),
        ("finetune", "lora@celeba", {"rank": 96}, "finetune", {"lora"}),
        ("baselines.gdro", "celeba", {"step_size": 0.96}, "pretrain", {"gdro"}),
        ("baselines.self", "celeba", {"steps": 96}, "retrain", {"self"}),
    ],
)
def test_an_override_for_a_data_set_touches_no_job_of_another(section, key, values, rule, methods):
    def edit(raw):
        for name in section.split("."):
            raw = raw[name]
        raw.setdefault("overrides", {}).setdefault(key, {}).update(values)

    touched = stale(edit)
    assert touched == {own for own in BASE if own[:2] == (rule, "celeba") and own[3] in methods}
    assert {own[3] for own in touched} == methods


def test_an_ablation_of_the_loss_reuses_the_classifier_whose_beta_is_its_own_data_set_s():
    config = changed(lambda raw: raw["pretrain"]["overrides"].update(celeba={"beta": 0.25}))
    for dataset, beta in (("waterbirds", 0.5), ("celeba", 0.25)):
        losses = {s.name: s.classifier.loss for s in plan.ablations(config, dataset, "original")}
        assert [name for name, loss in losses.items() if loss == "supcon" and name.startswith("beta")] == [
            f"beta = {beta}"
        ]


def test_an_override_equal_to_the_common_value_touches_nothing():
    assert stale(lambda raw: raw["finetune"].update(overrides={"lora": {"steps": raw["finetune"]["steps"]}})) == set()


def test_a_prompt_of_one_data_set_touches_its_own_jobs_alone():
    touched = stale(lambda raw: raw["datasets"]["celeba"]["prompts"].update(subject="{token} {label} face"))
    assert touched
    assert {(key[0], key[1]) for key in touched} == {("finetune", "celeba"), ("generate", "celeba")}
    # a DreamBooth prompt says nothing to LoRA, and swapped groups have a prompt of their own
    assert {key[3] for key in touched} == {"dreambooth", "clustered_dreambooth"}
    assert all(key[4] in ("dark-male", "blond-female") for key in touched if key[0] == "generate" and key[2] == "0.999")


def test_the_words_of_clip_label_touch_scoring_alone():
    touched = stale(lambda raw: raw["datasets"]["utkface"]["prompts"].update(clip_label="a {label}"))
    assert touched == {key for key in BASE if key[:2] == ("score", "utkface")}


def test_additions_touch_no_job_that_was_there():
    def another_set(raw):
        raw["datasets"] = {"more": copy.deepcopy(raw["datasets"]["waterbirds"]), **raw["datasets"]}

    assert stale(another_set) == set()
    assert stale(lambda raw: raw["seeds"].append(3)) == set()
    assert stale(lambda raw: raw["methods"].append("lora_mirrored")) == set()
    assert stale(lambda raw: raw["biases"].append(0.99)) == set()


def test_more_images_or_another_shard_size_touch_no_params():
    # they are in the shards' names
    assert stale(lambda raw: raw["generate"].update(images_per_group=6000)) == set()
    assert stale(lambda raw: raw["generate"].update(shard_size=500)) == set()


def reordered(value):
    if isinstance(value, dict):
        return {key: reordered(value[key]) for key in reversed(value)}
    return value


def test_the_order_of_keys_in_the_file_touches_nothing():
    def reorder(raw):
        new = reordered(raw)
        raw.clear()
        raw.update(new)

    assert stale(reorder) == set()


@pytest.mark.parametrize(
    ("edit", "rules"),
    [
        (lambda raw: raw["select"].update(fraction=0.5), {"select"}),
        (lambda raw: raw["select"].update(alpha=0.25), {"select"}),
        (lambda raw: raw["generate"].update(guidance_scale=3.0), {"generate"}),
        (lambda raw: raw["generate"].update(guidance_interval=[0.0, 0.6]), {"generate"}),
        (lambda raw: raw["generate"].update(timestep_spacing="trailing"), {"generate"}),
        (lambda raw: raw["swap"].update(guidance_scale=3.0), {"generate"}),
        (lambda raw: raw["pretrain"].update(temperature=0.1), {"pretrain"}),
        (lambda raw: raw["retrain"].update(epochs=3), {"retrain"}),
        (lambda raw: raw["finetune"].update(rank=8), {"finetune"}),
        (lambda raw: raw["finetune"].update(token="zwx"), {"finetune", "generate"}),
        (lambda raw: raw["subjects"].update(n_init=3), {"subjects"}),
        (lambda raw: raw["tables"].update(mark_all_rows=True), {"tabulate"}),
        (lambda raw: raw["models"]["clip"].update(pretrained="laion2b_s32b_b82k"), {"fetch_model", "embed", "score"}),
        (
            lambda raw: raw.update(seed=1),
            {"split", "subjects", "finetune", "generate"},
        ),
    ],
)
def test_a_value_touches_the_rules_that_use_it(edit, rules):
    assert {key[0] for key in stale(edit)} == rules


def test_the_paper_s_beta_is_not_erm_s():
    def loss(raw):
        raw["pretrain"].update(beta=0.25, temperature=0.1)

    touched = stale(loss)
    assert {key[0] for key in touched} == {"pretrain"}
    assert {key[3] for key in touched} == {key[3] for key in BASE if key[0] == "pretrain"} - {
        "erm",
        "ffr",
        "gdro",
        "self",
    }


def test_afr_s_stages_read_its_values_and_no_other_job_does():
    config = changed(lambda raw: raw["methods"].append("afr"))
    afr = config.baselines.afr.of().model_dump()
    assert stage_params.hold_back(config, "waterbirds") == {"seed": 0, "share": afr.pop("share")}
    assert stage_params.retrain(config, "waterbirds", "afr", "ce", "afr") == {"recipe": "afr", "afr": afr}
    assert stage_params.retrain(config, "celeba", "afr", "ce", "afr")["afr"]["steps"] == 1000
    epochs = [stage_params.pretrain(config, name, "afr", "ce")["epochs"] for name in ("waterbirds", "celeba")]
    assert epochs == [50, 20]
    assert stale(lambda raw: raw["methods"].append("afr")) == set()
    assert stale(lambda raw: raw["baselines"].update(afr={"steps": 3})) == set()


def test_hsfm_s_recipe_reads_its_values_and_no_other_job_does():
    config = changed(lambda raw: raw["methods"].append("hsfm"))
    expected = {"recipe": "hsfm", "hsfm": config.baselines.hsfm.of().model_dump()}
    assert stage_params.retrain(config, "waterbirds", "erm", "ce", "hsfm") == expected
    assert stage_params.retrain(config, "celeba", "erm", "ce", "hsfm")["hsfm"]["images"] == 1024
    (own,) = plan.classifiers(config, "hsfm")
    assert own.path("celeba", "original", 0) == "celeba/original/erm/classifiers/real-ce/seed0/hsfm"
    assert stale(lambda raw: raw["methods"].append("hsfm")) == set()
    assert stale(lambda raw: raw["baselines"].update(hsfm={"epochs": 3})) == set()


def test_dfr_on_synthetic_images_reads_dfr_s_grid_and_its_own_count():
    config = changed(lambda raw: raw["methods"].append("dfr_synthetic"))
    expected = {"recipe": "dfr_synthetic", "dfr": config.baselines.dfr.of().model_dump(), "synthetic_images": 133}
    assert stage_params.retrain(config, "waterbirds", "erm", "ce", "dfr_synthetic") == expected
    (own,) = plan.classifiers(config, "dfr_synthetic")
    assert own.path("celeba", "original", 0) == "celeba/original/erm/classifiers/real-ce/seed0/dfr_synthetic"
    assert stale(lambda raw: raw["methods"].append("dfr_synthetic")) == set()
    assert stale(lambda raw: raw["baselines"].update(dfr_synthetic={"images_per_group": 3})) == set()
    card = report_params.export(config, "celeba", "original", "dfr_synthetic")
    assert "133 generated images per group, of those of Clustered DreamBooth" in card["synthetic"]


def test_the_restarts_of_k_means_touch_clusters_alone():
    assert {key[3] for key in stale(lambda raw: raw["subjects"].update(n_init=3))} == {"clustered_dreambooth"}
    assert {key[3] for key in stale(lambda raw: raw["subjects"].update(dreambooth_images=50))} == {"dreambooth"}


def prompts(method, bias, group, dataset="waterbirds"):
    values = stage_params.generate(changed(), dataset, bias, method, group)
    (prompt,) = values["prompts"]
    return prompt, values["negative_prompt"]


def test_prompts_of_groups_with_an_adapter_of_their_own():
    assert prompts("vanilla", "any", "waterbird-land") == ("photo of a waterbird on land", "")
    assert prompts("lora", "original", "waterbird-land") == ("photo of a waterbird on land", "")
    assert prompts("dreambooth", "original", "waterbird-land") == ("photo of a sks waterbird", "")
    assert prompts("clustered_dreambooth", "0.999", "waterbird-water") == ("photo of a sks waterbird", "")


def test_a_swapped_group_drops_the_token_and_denies_the_source_s_attribute():
    for method in ("lora", "dreambooth", "clustered_dreambooth"):
        assert prompts(method, "0.999", "waterbird-land") == ("photo of a waterbird on land", "water")
        assert prompts(method, "0.999", "landbird-water") == ("photo of a landbird on water", "land")
    # words of the prompt, not names in the table
    assert prompts("lora", "0.999", "male-old", "utkface") == ("photo of a male adult", "child")


def test_mirrored_groups_of_a_class_are_drawn_alike():
    assert prompts("dreambooth_mirrored", "0.999", "waterbird-land") == ("photo of a waterbird on land", "water")
    assert prompts("dreambooth_mirrored", "0.999", "waterbird-water") == ("photo of a waterbird on water", "land")


def test_the_swapped_guidance_is_for_swapped_prompts_alone():
    config = changed(lambda raw: raw["swap"].update(guidance_scale=1.5))
    own = stage_params.generate(config, "waterbirds", "0.999", "lora", "waterbird-water")
    swapped = stage_params.generate(config, "waterbirds", "0.999", "lora", "waterbird-land")
    assert (own["guidance_scale"], swapped["guidance_scale"]) == (7.5, 1.5)


def test_the_prompt_that_is_learnt_is_the_prompt_that_is_drawn():
    config = changed()
    for method in ("lora", "dreambooth", "clustered_dreambooth"):
        for shard in plan.shards(config, "celeba", "original", method):
            learnt = stage_params.finetune(config, "celeba", "original", method, shard.subject)
            drawn = stage_params.generate(config, "celeba", "original", method, shard.group)
            assert [learnt["prompt"]] == drawn["prompts"]


def test_alpha_is_the_swapped_one_at_a_severe_ratio():
    config = changed()
    assert set(stage_params.select(config, "celeba", "original", "lora", "clip")["alpha"].values()) == {0.5}
    assert set(stage_params.select(config, "celeba", "0.999", "lora", "clip")["alpha"].values()) == {1.0}


def test_the_sample_of_each_method():
    config = changed()

    def sample(bias, method):
        return stage_params.subjects(config, "waterbirds", bias, method)["sample"]

    assert sample("original", "lora") == 56
    assert sample("0.999", "lora") == 1057, "the smallest of the groups that train a model at this bias"
    assert sample("original", "dreambooth") == 100
    assert sample("original", "clustered_dreambooth") is None


def test_params_that_must_differ_do():
    config = changed()

    def text(*names):
        return repr(stage_params.generate(config, "waterbirds", *names))

    assert text("original", "lora", "waterbird-land") != text("0.999", "lora", "waterbird-land")
    assert text("original", "lora", "waterbird-land") != text("original", "lora", "waterbird-water")
    assert text("original", "lora", "waterbird-land") != text("original", "dreambooth", "waterbird-land")
    assert BASE["pretrain", "waterbirds", "original", "erm"] != BASE["pretrain", "waterbirds", "original", "lora"]
    assert BASE["split", "waterbirds", "original"] != BASE["split", "waterbirds", "0.999"]


def test_ffr_s_prompts_are_all_combinations_in_an_order_of_the_seed():
    values = stage_params.generate(changed(), "utkface", "any", "ffr", "female-young")
    words = ("baby", "three years old", "four years old", "five years old")
    assert sorted(values["prompts"]) == sorted(f"a headshot of a human Female {word}" for word in words)
    assert values["negative_prompt"] == ""
    birds = [
        stage_params.generate(changed(lambda raw, seed=seed: raw.update(seed=seed)), "waterbirds", "any", "ffr", group)[
            "prompts"
        ]
        for seed, group in ((0, "waterbird-land"), (1, "waterbird-land"))
    ]
    assert len(birds[0]) == 50
    assert birds[0] != birds[1]
    assert sorted(birds[0]) == sorted(birds[1])


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        ("alpha25", {"alpha": 0.25, "fraction": 0.75, "standardize": False}),
        ("alpha0", {"alpha": 0.0, "fraction": 0.75, "standardize": False}),
        ("random", {"fraction": 0.75, "random_seed": 0}),
        ("all", {}),
        ("nongrey", {"grey_distance": 5.7}),
    ],
)
def test_a_selection_s_name_says_what_it_is(selection, expected):
    values = stage_params.select(changed(), "celeba", "0.999", "lora", selection)
    if "alpha" in values:
        (values["alpha"],) = set(values["alpha"].values())
    assert values == expected


def test_an_ablation_reuses_the_run_s_own_classifier():
    config = changed(lambda raw: raw["ablations"].update(clusters=[3, 5]))
    for dataset in ("waterbirds", "celeba"):
        settings = {(s.ablation, s.name): s.classifier for s in plan.ablations(config, dataset, "original")}
        own = plan.classifiers(config, "clustered_dreambooth")[0]
        assert settings["CLIP-Score", "alpha = 0.5"] == settings["Loss", "beta = 0.5"] == own
        assert settings["Stage 2", "llr_all"] == settings["Filtering", "top share"] == own
        assert settings["CLIP-Score", "alpha = 1"].selection == "alpha100"
        methods = {settings["Clusters", f"k = {k}"].method for k in (3, 5)}
        expected = {"clustered_dreambooth_k3", "clustered_dreambooth_k5"}
        assert methods == (
            expected - {"clustered_dreambooth_k3"} | {own.method} if dataset == "waterbirds" else expected
        )
    # alpha is 1 at a severe bias
    severe = {s.name: s.classifier.selection for s in plan.ablations(config, "celeba", "0.999")}
    assert (severe["alpha = 1"], severe["alpha = 0.5"]) == ("clip", "alpha50")


def test_another_seed_of_the_generator_is_another_set_of_jobs():
    config = changed(lambda raw: raw.update(generator_seeds=[0, 1]))
    assert [own.method for own in plan.classifiers(config, "lora")] == ["lora", "lora_g1"]
    assert [own.method for own in plan.classifiers(config, "erm")] == ["erm"]
    assert [own.method for own in plan.classifiers(config, "clustered_dreambooth_gdro")] == [
        "clustered_dreambooth",
        "clustered_dreambooth_g1",
    ]
    here = ("waterbirds", "original")
    first = stage_params.finetune(config, *here, "lora", "waterbird-land")
    second = stage_params.finetune(config, *here, "lora_g1", "waterbird-land")
    assert first["seed"] != second["seed"]
    assert {**first, "seed": 0} == {**second, "seed": 0}
    assert stage_params.generate(config, *here, "lora_g1", "waterbird-land")["seed"] == second["seed"]
    assert plan.adapter_method("lora_mirrored_g1") == "lora_g1"
    assert plan.number_of_clusters(config, "celeba", "clustered_dreambooth_k5_g2") == 5
    assert stale(lambda raw: raw.update(generator_seeds=[0, 1])) == set()


def three_attributes(raw):
    own = raw["datasets"]["waterbirds"]
    own["attributes"]["ice"] = "ice"
    own["attribute_values"]["ice"] = 2
    own["train_counts"] |= {"landbird-ice": 100, "waterbird-ice": 0}
    own["prompts"]["ffr"]["attributes"]["ice"] = ["on a glacier"]


def test_with_three_attributes_a_swapped_group_steers_away_from_its_source_and_a_mirrored_one_from_all_others():
    config = changed(three_attributes)

    def negative(bias, method, group):
        return stage_params.generate(config, "waterbirds", bias, method, group)["negative_prompt"]

    assert negative("0.999", "dreambooth", "landbird-ice") == "land"
    assert negative("0.999", "dreambooth", "waterbird-ice") == "water"
    assert negative("original", "dreambooth", "waterbird-ice") == "water"  # no image: swapped at any bias
    assert negative("original", "dreambooth", "landbird-ice") == ""
    assert negative("0.999", "dreambooth_mirrored", "landbird-ice") == "land, water"
    assert negative("0.999", "dreambooth_mirrored", "landbird-land") == "water, ice"
    ffr = stage_params.generate(config, "waterbirds", "any", "ffr", "waterbird-ice")["prompts"]
    assert len(ffr) == 10
    alpha = stage_params.select(config, "waterbirds", "original", "lora", "clip")["alpha"]
    assert {group for group, value in alpha.items() if value == 1.0} == {"waterbird-ice"}


def test_the_seed_is_read_by_the_index_only_where_splits_are_held_out():
    def edit(raw):
        raw["datasets"]["waterbirds"]["held_out"] = {"validation": 0.1}

    def seeds(name, edit):
        return {
            stage_params.index(changed(lambda raw, s=s: (edit(raw), raw.update(seed=s))), name)["seed"] for s in (0, 1)
        }

    assert seeds("waterbirds", edit) == {0, 1}
    assert seeds("celeba", edit) == {None}
