"""The baselines' formulas against independent float64 references, and what their stages do at a size of seconds."""

import json
import math
import os
import signal

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from safetensors.torch import load_file

torch = pytest.importorskip("torch")

from fairdream.classification import afr, checkpoint, classifier, dfr, hsfm, trainer  # noqa: E402
from fairdream.classification.group_dro import GroupDRO  # noqa: E402
from fairdream.classification.pretrain import PretrainJob, pretrain  # noqa: E402
from fairdream.classification.retrain import RetrainJob, retrain  # noqa: E402
from fairdream.classification.self_selection import disagreement, highest, misclassification  # noqa: E402
from fairdream.config.baselines import AfrFit, DfrValues, GroupDroValues, HsfmValues, JttValues, SelfValues  # noqa: E402
from fairdream.config.models import EncoderModel  # noqa: E402
from fairdream.config.retrain import RetrainValues  # noqa: E402
from fairdream.config.training import Augmentation  # noqa: E402
from fairdream.curation.select import SelectJob, select  # noqa: E402
from fairdream.data.hold_back import hold_back  # noqa: E402
from fairdream.data.images import encode_png, write_shard  # noqa: E402
from fairdream.diffusion.generate import channel_distance  # noqa: E402
from fairdream.errors import UserError  # noqa: E402

STILL = Augmentation(crop_scale=1.0, flip=False)
TRAINING = {"learning_rate": 0.05, "weight_decay": 0.0, "momentum": 0.9, "batch_size": 8, "steps": 6}


def reference_group_dro(batches, counts, step_size, adjustment):
    """Sagawa et al. 2020, algorithm 1, in plain Python floats."""
    weights = [1 / len(counts)] * len(counts)
    losses = []
    for values, groups in batches:
        means = []
        for group, count in enumerate(counts):
            own = [value for value, g in zip(values, groups, strict=True) if g == group]
            means.append(sum(own) / len(own) + adjustment / math.sqrt(count) if own else 0.0)
        weights = [w * math.exp(step_size * m) for w, m in zip(weights, means, strict=True)]
        weights = [w / sum(weights) for w in weights]
        losses.append(sum(w * m for w, m in zip(weights, means, strict=True)))
    return weights, losses


@pytest.mark.parametrize("adjustment", [0.0, 2.0])
def test_group_dro_equals_its_algorithm(adjustment):
    generator = np.random.default_rng(0)
    counts = [100, 10, 4]
    batches = [(generator.exponential(size=8).tolist(), generator.integers(0, 3, 8).tolist()) for _ in range(20)]
    batches.append(([1.0, 2.0], [0, 0]))  # two groups are absent
    weights, losses = reference_group_dro(batches, counts, 0.1, adjustment)
    robust = GroupDRO(torch.tensor(counts).double(), 0.1, adjustment)
    robust.offset, robust.weights = robust.offset.double(), robust.weights.double()
    found = [float(robust(torch.tensor(v, dtype=torch.float64), torch.tensor(g))) for v, g in batches]
    assert found == pytest.approx(losses, rel=1e-6)
    assert robust.weights.tolist() == pytest.approx(weights, rel=1e-6)


def test_group_dro_s_gradient_is_the_weighted_one():
    robust = GroupDRO(torch.tensor([5, 5]), 1.0)
    values = torch.tensor([3.0, 1.0, 1.0], requires_grad=True)
    robust(values, torch.tensor([0, 1, 1])).backward()
    heavy = math.exp(3) / (math.exp(3) + math.exp(1))
    assert values.grad.tolist() == pytest.approx([heavy, (1 - heavy) / 2, (1 - heavy) / 2], rel=1e-5)


def test_disagreement_is_the_authors_divergence():
    generator = np.random.default_rng(1)
    final, early = generator.normal(size=(2, 7, 3))

    def softmax(values):
        exponent = np.exp(values - values.max(1, keepdims=True))
        return exponent / exponent.sum(1, keepdims=True)

    p, q = softmax(early), softmax(final)
    expected = (p * np.log(p / q)).sum(1) / 3
    found = disagreement(torch.tensor(final), torch.tensor(early))
    assert found.tolist() == pytest.approx(expected.tolist(), rel=1e-6)
    classes = generator.integers(0, 3, 7)
    expected = -np.log(q[np.arange(7), classes])
    assert misclassification(torch.tensor(final), torch.tensor(classes)).tolist() == pytest.approx(expected.tolist())


def test_the_highest_scores_and_of_equals_the_earlier_ones():
    assert highest(torch.tensor([0.1, 0.9, 0.5, 0.9, 0.9]), 2).tolist() == [1, 3]
    assert highest(torch.tensor([0.1, 0.9]), 5).tolist() == [1, 0]


def test_a_balanced_subset_has_as_many_of_each_group_as_the_smallest():
    groups = np.array(["a"] * 50 + ["b"] * 3 + ["c"] * 7)
    chosen = dfr.balanced_subset(groups, np.random.default_rng(0))
    assert dict(zip(*np.unique(groups[chosen], return_counts=True), strict=True)) == {"a": 3, "b": 3, "c": 3}
    assert len(set(chosen)) == 9
    chosen = dfr.balanced_subset(groups, np.random.default_rng(0), 5)
    assert dict(zip(*np.unique(groups[chosen], return_counts=True), strict=True)) == {"a": 5, "b": 3, "c": 5}


@pytest.mark.parametrize("classes", [2, 3])
def test_dfr_finds_the_core_feature_where_the_other_is_only_correlated(classes):
    generator = np.random.default_rng(0)
    label = generator.integers(0, classes, 600)
    spurious = np.where(generator.random(600) < 0.95, label, (label + 1) % classes)
    groups = np.array([f"{y}-{a}" for y, a in zip(label, spurious, strict=True)])
    eye = np.eye(classes)
    noise = generator.normal(size=(600, 2 * classes))
    features = np.hstack([eye[label], 4 * eye[spurious]]) * 3 + noise + 5
    weight, bias = dfr.fit(features, label, groups, [1.0, 0.1], 5, np.random.default_rng(0))
    assert weight.shape == (classes, 2 * classes)
    right = (features @ weight.T + bias).argmax(1) == label
    assert min(right[groups == group].mean() for group in np.unique(groups)) > 0.8


def test_a_grey_image_has_no_channel_apart():
    grey = np.full((4, 4, 3), 0.5)
    assert channel_distance(grey) == 0
    # FFR's own rule, on red alone, would call this grey
    green = grey + np.array([0.0, 0.2, -0.2])
    assert channel_distance(green) == pytest.approx(51, abs=0.1)


@pytest.fixture
def shard(tmp_path):
    rows = []
    for number in range(20):
        group = ("a-x", "b-x")[number % 2]
        image = encode_png(Image.new("RGB", (8, 8), (number * 10, 0, 0)))
        row = {"id": f"{group}/base/{number:06d}", "image": image, "group": group, "subject": "base", "index": number}
        row |= {"prompt": "p", "negative_prompt": "", "seed": number, "num_inference_steps": 1, "guidance_scale": 1.0}
        row |= {"scheduler": "s", "adapter_scale": 1.0, "redraws": 0, "channel_distance": float(number)}
        rows.append(row)
    write_shard(tmp_path / "shard.parquet", rows, {})
    return tmp_path


def chosen(shard, **values) -> pd.DataFrame:
    out = str(shard / "selected.parquet")
    select([str(shard / "shard.parquet")], [], None, out, SelectJob(**values))
    return pd.read_parquet(out)


def test_selections_without_clip(shard):
    assert len(chosen(shard)) == 20
    assert set(chosen(shard, grey_distance=5.0)["id"].str[-2:].astype(int)) == set(range(5, 20))
    first = chosen(shard, fraction=0.5, random_seed=0)
    assert first["group"].value_counts().to_dict() == {"a-x": 5, "b-x": 5}
    assert first["id"].tolist() == chosen(shard, fraction=0.5, random_seed=0)["id"].tolist()
    assert first["id"].tolist() != chosen(shard, fraction=0.5, random_seed=1)["id"].tolist()


@pytest.fixture
def data(tmp_path):
    """Bright images are of class b; a red tint goes with a in all but a few training images."""
    generator = np.random.default_rng(0)
    rows = []
    for number in range(120):
        split = ("train", "validation", "test")[number % 3]
        label = (number // 3) % 2
        aligned = (number // 6) % 10 != 0 if split == "train" else (number // 6) % 2 == 0
        attribute = label if aligned else 1 - label
        pixels = generator.integers(0, 40, (32, 32, 3)) + 120 * label
        pixels[..., 0] += 90 * attribute
        path = f"{number:03d}.png"
        Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / path)
        name = {"id": path, "folder": str(tmp_path), "path": path, "split": split}
        rows.append({**name, "label": "ab"[label], "group": f"{'ab'[label]}-{'xy'[attribute]}"})
    pd.DataFrame(rows).to_parquet(tmp_path / "split.parquet")
    (tmp_path / "encoder.json").write_text(json.dumps({"path": str(tmp_path), "files": {}}))
    return tmp_path


def train(data, out="stage1", **values):
    job = {
        **TRAINING,
        "beta": 1.0,
        "temperature": 1.0,
        "image_size": 32,
        "crop_scale": 1.0,
        "flip": False,
        "encoder": EncoderModel(name="small_cnn"),
        "labels": ["a", "b"],
        "batches": "all",
        "checkpoints": [],
        "gdro": None,
        "jtt": None,
    }
    path = str(data / f"{out}.safetensors")
    config = PretrainJob(**{**job, **values})
    pretrain(None, str(data / "split.parquet"), str(data / "encoder.json"), path, 0, "code", config)
    return path


def apply(data, stage1, recipe, selected=None, **values):
    out = [str(data / f"{recipe}.{ending}") for ending in ("safetensors", "predictions.parquet")]
    retrain(stage1, str(data / "split.parquet"), *out, 0, "code", RetrainJob(recipe=recipe, **values), selected)
    return classifier.load(out[0])[0].state_dict(), pd.read_parquet(out[1])


def moved(before: str, after: dict) -> set[str]:
    old = classifier.load(before)[0].state_dict()
    return {key for key in old if not torch.equal(old[key], after[key])}


HEAD = {"head.weight", "head.bias"}
SELF = SelfValues(
    score="misclassification",
    checkpoints=[0.5],
    dropouts=[0.5],
    images=[4, 8],
    learning_rates=[0.1],
    steps=20,
    batch_size=4,
    weight_decay=0.0,
)


def test_early_states_are_those_of_a_shorter_training(data):
    path = train(data, checkpoints=[0.5])
    assert classifier.checkpoints(path) == ["early0"]
    early, _, _ = classifier.load(path, "early0")
    short, _, _ = classifier.load(train(data, "short", steps=3))
    assert all(torch.equal(value, short.state_dict()[key]) for key, value in early.state_dict().items())
    assert moved(path, early.state_dict())


@pytest.mark.parametrize(
    "score",
    ["early_stop_disagreement", "dropout_disagreement", "misclassification", "early_stop_misclassification"],
)
def test_self_moves_the_last_layer_alone_and_trains_on_held_out_images(data, score):
    path = train(data, checkpoints=[0.5])
    values = SELF.model_copy(update={"score": score})
    after, table = apply(data, path, "self", self_=values)
    assert moved(path, after) <= HEAD
    assert len(table) == 120
    again, _ = apply(data, path, "self", self_=values)
    assert all(torch.equal(after[key], again[key]) for key in after)


def test_dfr_moves_the_last_layer_alone(data):
    path = train(data)
    after, table = apply(data, path, "dfr", dfr=DfrValues(strengths=[1.0], refits=3))
    assert moved(path, after) == HEAD
    validation = table[table["split"] == "validation"]
    assert (validation["predicted"] == validation["label"]).mean() > 0.9


def test_dfr_without_a_validation_image_of_each_class_is_refused(data):
    path, split = train(data), pd.read_parquet(data / "split.parquet")
    split[(split["split"] != "validation") | (split["label"] == "a")].to_parquet(data / "split.parquet")
    with pytest.raises(UserError, match="do not show every class"):
        apply(data, path, "dfr", dfr=DfrValues(strengths=[1.0], refits=3))


def test_hsfm_says_the_same_in_its_own_name(data):
    path, split = train(data), pd.read_parquet(data / "split.parquet")
    split[(split["split"] != "validation") | (split["label"] == "a")].to_parquet(data / "split.parquet")
    with pytest.raises(UserError, match=r"HSFM learns from one half .* or take hsfm out"):
        apply(data, path, "hsfm", hsfm=HsfmValues())


@pytest.mark.parametrize("each", [1, 2])
def test_dfr_fits_from_one_or_two_images_of_each_group_in_any_order(each):
    classes = np.repeat([0, 0, 1, 1], each)
    groups = np.repeat(["a-x", "a-y", "b-x", "b-y"], each)
    features = np.eye(2)[classes] + 0.1 * np.random.default_rng(0).normal(size=(len(classes), 2))
    for seed in range(20):
        weight, bias = dfr.fit(features, classes, groups, [10.0, 1.0], 2, np.random.default_rng(seed))
        assert ((features @ weight.T + bias).argmax(1) == classes).all()


@pytest.fixture
def synthetic(data):
    """As `data` shows, in two shards of which all but the last two images were selected."""
    generator, chosen = np.random.default_rng(1), []
    for number in range(2):
        rows = []
        for index in range(22):
            label, attribute = index % 2, (index // 2 + number) % 2
            pixels = generator.integers(0, 40, (24, 24, 3)) + 120 * label
            pixels[..., 0] += 90 * attribute
            group, image = f"{'ab'[label]}-{'xy'[attribute]}", Image.fromarray(pixels.astype(np.uint8))
            rows.append({"id": f"{group}/base/{number}{index:03d}", "image": encode_png(image), "group": group})
        write_shard(data / f"{number}.parquet", rows, {})
        chosen += [{"id": row["id"], "group": row["group"], "shard": str(data / f"{number}.parquet")} for row in rows]
    pd.DataFrame(chosen[:-2]).to_parquet(data / "selected.parquet", index=False)
    return str(data / "selected.parquet")


def test_dfr_on_synthetic_images_sees_as_many_of_each_group_and_no_real_group(data, synthetic, monkeypatch):
    seen = []
    monkeypatch.setattr(dfr, "fit", lambda *images, fit=dfr.fit: seen.append(images[:3]) or fit(*images))
    path, values = train(data), {"dfr": DfrValues(strengths=[1.0], refits=3), "synthetic_images": 8}
    after, table = apply(data, path, "dfr_synthetic", synthetic, **values)
    features, classes, groups = seen[0]
    assert dict(zip(*np.unique(groups, return_counts=True), strict=True)) == dict.fromkeys(
        ("a-x", "a-y", "b-x", "b-y"), 8
    )
    assert [group[0] for group in groups] == ["ab"[number] for number in classes]
    assert len(np.unique(features, axis=0)) == 32
    assert moved(path, after) == HEAD
    test = table[table["split"] == "test"]
    assert (test["predicted"] == test["label"]).mean() > 0.9
    rows = pd.read_parquet(data / "split.parquet")
    rows.assign(group=rows["group"].str[0] + "-x").to_parquet(data / "split.parquet", index=False)
    again, _ = apply(data, path, "dfr_synthetic", synthetic, **values)
    assert all(torch.equal(after[key], again[key]) for key in after)


def test_fewer_synthetic_images_than_asked_for_are_told(data, synthetic, caplog):
    values = {"dfr": DfrValues(strengths=[1.0], refits=1), "synthetic_images": 1000}
    apply(data, train(data), "dfr_synthetic", synthetic, **values)
    assert "1000 selected images of each group were asked for; the smallest group has" in caplog.text


def test_dfr_on_synthetic_images_of_one_class_is_refused(data, synthetic):
    chosen = pd.read_parquet(synthetic)
    chosen[chosen["group"].str.startswith("a")].to_parquet(synthetic, index=False)
    with pytest.raises(UserError, match="needs two of each class"):
        apply(
            data,
            train(data),
            "dfr_synthetic",
            synthetic,
            dfr=DfrValues(strengths=[1.0], refits=1),
            synthetic_images=8,
        )


def test_afr_moves_the_last_layer_alone_on_images_that_stage_1_has_not_seen(data, monkeypatch):
    hold_back(str(data / "split.parquet"), str(data / "split.parquet"), 0.2, 0)
    split = pd.read_parquet(data / "split.parquet")["split"].value_counts().to_dict()
    assert split == {"train": 32, "held_back": 8, "validation": 40, "test": 40}
    seen = []
    monkeypatch.setattr(afr, "fit", lambda *layer, fit=afr.fit: seen.append(layer[2:4]) or fit(*layer))
    path = train(data)
    after, table = apply(data, path, "afr", afr=AfrFit(gammas=[4.0], penalties=[0.0], learning_rate=0.1, steps=5))
    assert moved(path, after) == HEAD
    assert table["split"].value_counts().to_dict() == split
    assert [[len(images.features) for images in both] for both in seen] == [[8, 40]]


def test_after_synthetic_images_afr_learns_from_all_real_ones_and_needs_a_validation_image(data, monkeypatch):
    seen = []
    monkeypatch.setattr(afr, "fit", lambda *layer: seen.append(len(layer[2].features)) or layer[:2])
    path, rows = train(data), pd.read_parquet(data / "split.parquet")
    apply(data, path, "afr", afr=AfrFit())
    assert seen == [40]
    held_out = rows["split"] == "validation"
    for left, shown in ((rows["label"] == rows["label"].iloc[0], 1), (rows["label"] == "none", 0)):
        rows[~held_out | left].to_parquet(data / "split.parquet", index=False)
        told = f"AFR chooses by the validation images, which show {shown} of 2 classes: give more"
        with pytest.raises(UserError, match=told):
            apply(data, path, "afr", afr=AfrFit())


def test_hsfm_moves_the_last_layer_alone_and_chooses_by_other_images_than_it_learns_from(data, monkeypatch):
    seen = []
    monkeypatch.setattr(hsfm, "fit", lambda *layer, fit=hsfm.fit: seen.append(layer[2:5]) or fit(*layer))
    path, values = train(data), HsfmValues(images=4, inner_rate=0.01, updates=2, hard_images=4, epochs=2)
    after, _ = apply(data, path, "hsfm", hsfm=values)
    assert moved(path, after) == HEAD
    (support, pool, held_out) = ({tuple(row) for row in images.features.tolist()} for images in seen[0])
    assert (len(support), len(pool), len(held_out)) == (8, 20, 20)
    assert not pool & held_out
    again, _ = apply(data, path, "hsfm", hsfm=values)
    assert all(torch.equal(after[key], again[key]) for key in after)


@pytest.mark.parametrize(("left", "shown"), [(0, 0), (1, 1), (8, 1)])
def test_self_with_too_few_validation_images_is_refused(data, left, shown):
    path, split = train(data), pd.read_parquet(data / "split.parquet")
    few = split[split["split"] == "validation"].sort_values("label", kind="stable")[:left]
    pd.concat([split[split["split"] != "validation"], few]).to_parquet(data / "split.parquet", index=False)
    with pytest.raises(UserError, match=f"by the other, and there are {left}, of {shown} of 2 classes: give more"):
        apply(data, path, "self", self_=SELF)


def test_recipes_that_train_everything_move_everything(data):
    path = train(data)
    training = RetrainValues(**TRAINING, beta=0.5)
    whole = {key for key in classifier.load(path)[0].state_dict() if "num_batches" not in key}
    for recipe, values in (
        ("ft_all", {}),
        ("ft_balanced", {}),
        ("gdro", {"gdro": GroupDroValues(step_size=0.1, adjustment=0.0)}),
    ):
        after, _ = apply(data, path, recipe, training=training, augmentation=STILL, **values)
        assert moved(path, after) >= whole, recipe


def test_the_balanced_recipe_sees_as_many_images_of_each_group(data, caplog):
    caplog.set_level("INFO", logger="fairdream")
    path = train(data)
    rows = pd.read_parquet(data / "split.parquet")
    smallest = rows[rows["split"] == "train"]["group"].value_counts().min()
    after, _ = apply(data, path, "llr_balanced", training=RetrainValues(**TRAINING, beta=1.0))
    assert moved(path, after) == HEAD
    assert f"{4 * smallest} images, 6 steps" in caplog.text


def test_group_dro_learns_another_classifier_than_erm(data):
    plain = train(data, "plain", batches="group")
    robust = train(data, "robust", batches="group", gdro=GroupDroValues(step_size=1.0, adjustment=1.0))
    assert moved(plain, classifier.load(robust)[0].state_dict())


def test_jtt_sees_a_mistake_of_its_first_training_upweight_times_more_in_an_epoch(data, monkeypatch):
    from fairdream.classification import pretrain as module

    trainings = []

    def recorded(network, pixels, batches, *rest):
        trainings.append(list(batches))
        return trainer.train_network(network, pixels, iter(trainings[-1]), *rest)

    monkeypatch.setattr(module, "train_network", recorded)
    all_a = torch.tensor([1.0, 0.0])  # every image is taken for class a
    monkeypatch.setattr(module.classifier, "predict", lambda network, pixels, device: all_a.expand(len(pixels), 2))
    train(data, steps=None, epochs=2, batch_size=4, jtt=JttValues(first=0.5, upweight=5))
    first, second = (np.concatenate(batches) for batches in trainings)
    assert (np.bincount(first) == 1).all(), "one of two epochs"
    groups = pd.read_parquet(data / "split.parquet").query("split == 'train'")["group"]
    appearances = np.where(groups.str.startswith("b"), 1 + 5, 1)
    epoch = appearances.sum()
    assert len(second) == 2 * epoch
    assert (np.bincount(second[:epoch]) == appearances).all()


# What a training goes on with beside the network's own state: random crops, earlier states, the groups' weights, a
# first training that the second one hangs on.
KINDS = {
    "supcon": {"beta": 0.5, "temperature": 0.1, "crop_scale": 0.5, "flip": True, "schedule": "cosine"},
    "self": {"checkpoints": [0.2, 0.8]},
    "gdro": {"batches": "group", "gdro": GroupDroValues(step_size=1.0, adjustment=1.0)},
    "jtt": {"jtt": JttValues(first=0.5, upweight=5)},
}


def count_steps(monkeypatch, after=lambda step: None) -> list[int]:
    """Call `after` behind each step of a training; return the list that the steps are counted in."""
    steps: list[int] = []
    augment = trainer.augment

    def counted(*arguments):
        if steps:
            after(len(steps))
        steps.append(len(steps) + 1)
        return augment(*arguments)

    monkeypatch.setattr(trainer, "augment", counted)
    return steps


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("killed_at", [1, 3, 5])
def test_a_killed_stage_one_goes_on_exactly(data, kind, killed_at, monkeypatch):
    """Its first training too, where JTT has one: steps 1 to 3 are that, 4 to 9 the second."""
    whole = load_file(train(data, "whole", **KINDS[kind]))
    monkeypatch.setattr(checkpoint, "EVERY", -1.0)

    def die(step):
        if step == killed_at:
            raise KeyboardInterrupt

    with monkeypatch.context() as dying:
        count_steps(dying, die)
        with pytest.raises(KeyboardInterrupt):
            train(data, "killed", **KINDS[kind])
    assert not (data / "killed.safetensors").exists()
    steps = count_steps(monkeypatch)
    resumed = load_file(train(data, "killed", **KINDS[kind]))
    total = TRAINING["steps"] + (3 if kind == "jtt" else 0)
    assert len(steps) == total - killed_at, "only the lost steps are done again"
    assert resumed.keys() == whole.keys()
    assert all(torch.equal(resumed[key], whole[key]) for key in whole)
    assert not list(data.glob("*checkpoint"))


@pytest.mark.parametrize("recipe", ["ft_all", "gdro"])
def test_a_killed_stage_two_goes_on_exactly(data, recipe, monkeypatch):
    path = train(data)
    values = {"training": RetrainValues(**TRAINING, beta=0.5), "augmentation": Augmentation(crop_scale=0.5, flip=True)}
    values |= {"gdro": GroupDroValues(step_size=1.0, adjustment=1.0)} if recipe == "gdro" else {}
    whole, table = apply(data, path, recipe, **values)
    monkeypatch.setattr(checkpoint, "EVERY", -1.0)

    def die(step):
        if step == 4:
            raise KeyboardInterrupt

    with monkeypatch.context() as dying:
        count_steps(dying, die)
        with pytest.raises(KeyboardInterrupt):
            apply(data, path, recipe, **values)
    steps = count_steps(monkeypatch)
    resumed, again = apply(data, path, recipe, **values)
    assert len(steps) == 2
    assert all(torch.equal(resumed[key], whole[key]) for key in whole)
    assert again.equals(table)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_saves_stage_one_and_stops_it(data, number, monkeypatch):
    with monkeypatch.context() as told:
        count_steps(told, lambda step: os.kill(os.getpid(), number) if step == 2 else None)
        with pytest.raises(UserError, match="asked to stop; saved at step 3"):
            train(data, "told")
    with monkeypatch.context() as counted:
        steps = count_steps(counted)
        train(data, "told")
    assert len(steps) == 3


def test_a_checkpoint_of_other_values_is_passed_over(data, monkeypatch):
    with monkeypatch.context() as told:
        count_steps(told, lambda step: os.kill(os.getpid(), signal.SIGTERM) if step == 2 else None)
        with pytest.raises(UserError, match="asked to stop"):
            train(data, "told")
    steps = count_steps(monkeypatch)
    other = load_file(train(data, "told", learning_rate=0.01))
    assert len(steps) == 6
    fresh = load_file(train(data, "fresh", learning_rate=0.01))
    assert all(torch.equal(other[key], fresh[key]) for key in fresh)


@pytest.mark.parametrize("every", [-1.0, 1000.0], ids=["saved", "not saved"])
def test_a_training_that_diverged_fails_at_every_attempt(data, every, monkeypatch):
    monkeypatch.setattr(checkpoint, "EVERY", every)
    for _ in range(3):
        with pytest.raises(UserError, match="lower learning_rate"):
            train(data, "nan", learning_rate=1e30)
        assert not (data / "nan.safetensors").exists()


@pytest.mark.parametrize("content", [b"", b"\0" * 100, None], ids=["empty", "zeros", "truncated"])
def test_a_checkpoint_that_cannot_be_read_costs_its_steps_alone(data, content, monkeypatch, caplog):
    with monkeypatch.context() as told:
        count_steps(told, lambda step: os.kill(os.getpid(), signal.SIGTERM) if step == 2 else None)
        with pytest.raises(UserError, match="asked to stop"):
            train(data, "told")
    (file,) = data.glob("*checkpoint")
    file.write_bytes(file.read_bytes()[:-100] if content is None else content)
    steps = count_steps(monkeypatch)
    train(data, "told")
    assert len(steps) == 6
    assert "cannot be read" in caplog.text
    assert not file.exists()


def test_a_cosine_schedule_ends_slower_than_a_constant_rate(data):
    start = classifier.load(train(data, "start", steps=1, learning_rate=1e-9))[0].state_dict()["head.weight"]
    ends = [classifier.load(train(data, kind, schedule=kind))[0].state_dict() for kind in ("constant", "cosine")]
    constant, cosine = (float((end["head.weight"] - start).norm()) for end in ends)
    assert 0 < cosine < constant
