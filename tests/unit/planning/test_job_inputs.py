"""What a job reads of others, by the configuration and its wildcards."""

import pytest
from smallest import SMALLEST, changed

from fairdream.config.root import Config
from fairdream.errors import UserError
from fairdream.planning import job_inputs
from fairdream.planning.wildcards import ask

HERE = "results/waterdigits/original"


CONFIG = changed()


def asked(function, method: str, config: Config = CONFIG, **names: str):
    """Ask as a rule does: with all wildcards of the job."""
    return ask(function, config, {"dataset": "waterdigits", "bias": "original", "method": method, **names})


def test_a_function_gets_the_wildcards_that_it_takes():
    names = {"dataset": "d", "bias": "b", "method": "m"}
    assert ask(lambda config: config, 1, names) == 1
    assert ask(lambda config, method, dataset: (config, method, dataset), 1, names) == (1, "m", "d")
    assert ask(lambda config, **every: every, 1, names) == names
    with pytest.raises(KeyError, match="seed"):
        ask(lambda config, seed: seed, 1, names)


def test_images_and_scores_are_of_every_shard_in_the_bias_folder_that_they_depend_on():
    images, scores = (asked(function, "lora") for function in (job_inputs.images, job_inputs.scores))
    groups = sorted(SMALLEST["datasets"]["waterdigits"]["train_counts"])
    assert images == [f"{HERE}/lora/images/{group}/{group}/000000-000007.parquet" for group in groups]
    assert scores == [path.replace("/images/", "/scores/") for path in images]
    assert asked(job_inputs.images, "vanilla")[0] == (
        "results/waterdigits/any/vanilla/images/even-land/base/000000-000007.parquet"
    )


def test_images_are_drawn_with_the_adapter_of_the_method_that_trains_it():
    adapter = "adapters/even-land/pytorch_lora_weights.safetensors"
    names = {"bias": "0.999", "subject": "even-land"}
    expected = {"adapter": f"results/waterdigits/0.999/dreambooth/{adapter}"}
    assert asked(job_inputs.adapter_if_any, "dreambooth_mirrored", **names) == expected
    assert asked(job_inputs.adapter_if_any, "dreambooth", **names) == expected
    assert asked(job_inputs.adapter_if_any, "vanilla", bias="any", subject="base") == {}


def test_both_stages_of_a_method_that_holds_images_back_read_its_own_split():
    names = {"selection": "real", "recipe": "afr"}
    for function in (job_inputs.stage1_images, job_inputs.stage2_images):
        assert asked(function, "afr", **names) == {"split": f"{HERE}/afr/split.parquet"}
        assert asked(function, "erm", **names) == {"split": f"{HERE}/split.parquet"}
    assert asked(job_inputs.stage2_images, "lora", recipe="llr_all") == {"split": f"{HERE}/split.parquet"}


def test_a_last_layer_on_synthetic_images_reads_the_selection_of_the_row_that_is_named():
    def named(raw, row):
        raw["baselines"]["dfr_synthetic"] = {"images_of": row}

    for row, selection in (("lora", "lora/selected/clip"), ("ffr", "ffr/selected/nongrey")):
        config = changed(lambda raw, row=row: named(raw, row))
        expected = {"split": f"{HERE}/split.parquet", "selected": f"{HERE}/{selection}.parquet"}
        assert asked(job_inputs.stage2_images, "erm", config, recipe="dfr_synthetic") == expected
        assert asked(job_inputs.stage2_images, "erm", config, recipe="dfr") == {"split": f"{HERE}/split.parquet"}


def test_embeddings_are_read_for_clusters_alone():
    embeddings = {"embeddings": "results/waterdigits/embeddings.safetensors"}
    assert asked(job_inputs.embeddings_if_clustered, "clustered_dreambooth") == embeddings
    assert asked(job_inputs.embeddings_if_clustered, "lora") == {}


@pytest.mark.parametrize("selection", ["random", "all", "nongrey"])
def test_a_selection_without_clip_reads_no_scores(selection):
    assert asked(job_inputs.scores_if_needed, "lora", selection=selection) == {}


@pytest.mark.parametrize("selection", ["clip", "alpha25"])
def test_a_selection_by_clip_reads_scores_and_centroids(selection):
    assert asked(job_inputs.scores_if_needed, "lora", selection=selection) == {
        "scores": asked(job_inputs.scores, "lora"),
        "centroids": f"{HERE}/centroids.safetensors",
    }


def test_stage_1_learns_from_a_selection_or_the_training_set():
    assert asked(job_inputs.stage1_images, "erm", selection="real") == {"split": f"{HERE}/split.parquet"}
    assert asked(job_inputs.stage1_images, "lora", selection="alpha25") == {
        "selected": f"{HERE}/lora/selected/alpha25.parquet"
    }


def test_a_row_s_selection_leaves_near_copies_out_where_that_is_asked_for():
    assert asked(job_inputs.selected, "ffr") == f"{HERE}/ffr/selected/nongrey.parquet"
    config = changed(lambda raw: raw["select"].update(drop_copies=True))
    assert asked(job_inputs.selected, "ffr", config) == f"{HERE}/ffr/selected/nongrey_distinct.parquet"
    methods = ("lora", "dreambooth", "clustered_dreambooth")
    assert asked(job_inputs.compared_selections, "lora", config) == [
        f"{HERE}/{method}/selected/clip_distinct.parquet" for method in methods
    ]


def test_what_is_taken_away_is_a_row_s_classifiers_of_the_first_images():
    config = changed(lambda raw: raw.update(seeds=[0, 1], generator_seeds=[0, 1]))
    paths = asked(job_inputs.row_classifiers, "clustered_dreambooth_gdro", config)
    folder = f"{HERE}/clustered_dreambooth/classifiers/clip-supcon"
    assert paths == {
        "weights": [f"{folder}/seed{seed}/gdro.safetensors" for seed in (0, 1)],
        "metrics": [f"{folder}/seed{seed}/gdro.metrics.json" for seed in (0, 1)],
    }


def test_a_card_stands_beside_a_method_s_own_adapters():
    paths = asked(job_inputs.own_adapters, "lora", bias="0.999")
    folder = "results/waterdigits/0.999/lora/adapters"
    trained = ("even-land", "odd-water")  # the others are drawn from these two
    assert paths == [f"{folder}/{subject}/pytorch_lora_weights.safetensors" for subject in trained]
    histories = [f"{folder}/{subject}/history.csv" for subject in trained]
    assert asked(job_inputs.histories, "lora", bias="0.999") == histories


@pytest.mark.parametrize(
    ("method", "words"),
    [
        ("vanilla", "vanilla has no adapters of its own."),
        ("dreambooth_mirrored", "dreambooth_mirrored has no adapters of its own, but those of dreambooth."),
    ],
)
def test_a_card_of_adapters_that_are_not_the_method_s_own_is_refused(method, words):
    with pytest.raises(UserError) as error:
        asked(job_inputs.own_adapters, method)
    assert str(error.value) == words


def test_a_card_of_images_stands_beside_them():
    assert asked(job_inputs.images_beside_card, "lora") == asked(job_inputs.images, "lora")
    with pytest.raises(UserError, match=r"erm generates no images\."):
        asked(job_inputs.images_beside_card, "erm")
    card = "results/waterdigits/any/vanilla/README.md"
    with pytest.raises(UserError, match=f"The images of vanilla serve all biases: ask for {card}"):
        asked(job_inputs.images_beside_card, "vanilla")
    assert asked(job_inputs.images_beside_card, "vanilla", bias="any") == asked(job_inputs.images, "vanilla")


def test_a_data_set_s_tables_and_own_splits_lie_in_its_folder():
    def edit(raw):
        own = raw["datasets"]["waterdigits"]
        own["splits"] = [{"bias": 0.9, "file": "mine.csv", "train_counts": own["train_counts"]}]
        raw["biases"] = ["original", 0.9]

    config = changed(edit)
    assert asked(job_inputs.dataset_tables, "erm", config) == ["results/data/waterdigits/metadata.csv"]
    assert asked(job_inputs.own_split, "erm", config, bias="0.9") == {"own": "results/data/waterdigits/mine.csv"}
    assert asked(job_inputs.own_split, "erm", config) == {}
