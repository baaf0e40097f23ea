"""The peers in the paper's run: their authors' values on each data set, and what they take by the plan's own count."""

from pathlib import Path

import pytest

from fairdream.config.root import load_config
from fairdream.methods import method_of
from fairdream.planning import params, plan
from fairdream.planning.job_rates import Rates, work

ROOT = Path(__file__).resolve().parents[3]
# Image-epochs on CelebA's training set when every data set had Waterbirds' epochs.
BEFORE = {"gdro": 300, "self": 100}


@pytest.fixture(scope="module")
def paper(tmp_path_factory):
    config = load_config(ROOT / "config.yaml")
    return config.model_copy(update={"results": str(tmp_path_factory.mktemp("results"))})


def todo(config, rule, **wildcards):
    names = {key: str(value) for key, value in wildcards.items()}
    return work(config, rule, names, params.read_by(config, rule, names))


def gpu_jobs(config):
    """The run's jobs on a GPU; those that several rows share once."""
    jobs = {("embed", name): todo(config, "embed", dataset=name) for name in config.datasets}

    def add(rule, **names):
        jobs[rule, *names.values()] = todo(config, rule, **names)

    for dataset in config.datasets:
        for bias in plan.biases(config):
            for method in plan.methods_at(config, dataset, bias):
                row, (own,) = method_of(method), plan.classifiers(config, method)
                for seed in config.seeds:
                    names = {"dataset": dataset, "bias": bias, "method": own.method, "loss": own.loss, "seed": seed}
                    add("pretrain", **names)
                    add("retrain", **names, recipe=own.recipe)
                if not row.synthetic:
                    continue
                for shard in plan.shards(config, dataset, bias, method):
                    image = {"dataset": dataset, "bias": plan.image_bias(method, bias), "method": method}
                    image |= {"group": shard.group, "subject": shard.subject, "shard": shard.name}
                    add("generate", **image)
                    if row.selection == "clip":
                        add("score", **image)
                    if row.subjects and shard.group in plan.trained_groups(config, dataset, bias):
                        add("finetune", dataset=dataset, bias=bias, method=method, subject=shard.subject)
    return jobs


def epochs(config, method, dataset):
    return config.pretrain.of(method, dataset).epochs


@pytest.mark.parametrize(("method", "share"), [("gdro", 1 / 6), ("self", 1 / 5)])
@pytest.mark.parametrize("bias", ["original", "0.999"])
def test_celeba_s_image_epochs_are_the_authors(paper, method, share, bias):
    loss = method_of(method).loss
    units = todo(paper, "pretrain", dataset="celeba", bias=bias, method=method, loss=loss).units
    images = sum(plan.training_counts(paper, "celeba", bias).values())
    assert units == pytest.approx(share * BEFORE[method] * images * 224**2 / 1e6)


def test_the_paper_s_run_takes_276_hours_of_an_a100_at_the_most(paper):
    rates = Rates(paper)
    hours = sum(map(rates.seconds, gpu_jobs(paper).values())) / 3600
    assert 260 < hours <= 276


def test_only_celeba_and_utkface_differ_from_waterbirds(paper):
    for method in ("gdro", "self", "jtt"):
        assert paper.pretrain.of(method, "waterbirds") == paper.pretrain.of(method)
    assert {name: epochs(paper, "gdro", name) for name in paper.datasets} == {
        "waterbirds": 300,
        "celeba": 50,
        "utkface": 50,
    }


@pytest.mark.parametrize("method", ["gdro", "jtt"])
def test_group_dro_and_jtt_see_images_as_they_are(paper, method):
    for dataset in paper.datasets:
        own = paper.pretrain.of(method, dataset)
        assert (own.crop_scale, own.flip) == (1.0, False)


def test_jtt_counts_mistakes_after_the_authors_epochs(paper):
    first = {name: paper.baselines.jtt.of(dataset=name).first * epochs(paper, "jtt", name) for name in paper.datasets}
    assert first["waterbirds"] == pytest.approx(60)
    assert first["celeba"] == pytest.approx(1)


def test_the_demo_trains_all_methods_alike_but_for_the_length():
    demo = load_config(ROOT / "config/demo.yaml")
    (dataset,) = demo.datasets
    common = demo.pretrain.of(dataset=dataset)
    for method in ("erm", "gdro", "self", "jtt", "lora"):
        own = demo.pretrain.of(method, dataset)
        assert own.model_copy(update={"steps": common.steps}) == common
