"""The classifier's batches, pixels, files and both stages at a size of seconds."""

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

torch = pytest.importorskip("torch")

from fairdream.classification import classifier  # noqa: E402
from fairdream.classification.last_layer import fit_last_layer  # noqa: E402
from fairdream.classification.retrain import RetrainJob, retrain  # noqa: E402
from fairdream.classification.trainer import augment  # noqa: E402
from fairdream.config.models import EncoderModel  # noqa: E402
from fairdream.config.retrain import RetrainValues  # noqa: E402
from fairdream.config.training import Augmentation  # noqa: E402
from fairdream.data.images import encode_png  # noqa: E402
from fairdream.errors import UserError  # noqa: E402

SMALL = EncoderModel(name="small_cnn")


def batches(strata, size, steps, seed=0):
    return list(classifier.balanced_batches(strata, size, steps, np.random.default_rng(seed), "Testing"))


@pytest.mark.parametrize("size", [6, 8, 10])
def test_every_stratum_is_drawn_equally_often_and_every_image_in_turn(size):
    strata = np.array(["a"] * 90 + ["b"] * 9 + ["c"] * 3)
    drawn = batches(strata, size, 90)
    for batch in drawn:
        assert len(batch) == size
        counts = [int(np.sum(strata[batch] == name)) for name in "abc"]
        assert max(counts) - min(counts) <= 1
    every = np.concatenate(drawn)
    for name in "abc":
        own = every[strata[every] == name]
        assert abs(len(own) - size * 90 / 3) <= 1
        seen = np.bincount(own, minlength=len(strata))[strata == name]
        assert seen.max() - seen.min() <= 1, "an image was left out while another came twice"


def test_one_stratum_is_plain_shuffling_by_the_seed():
    strata = np.zeros(20, np.int64)
    assert sorted(np.concatenate(batches(strata, 5, 4))) == list(range(20))
    assert all(np.array_equal(x, y) for x, y in zip(batches(strata, 5, 8), batches(strata, 5, 8), strict=True))
    assert not all(np.array_equal(x, y) for x, y in zip(batches(strata, 5, 8), batches(strata, 5, 8, 1), strict=True))


def test_images_of_any_shape_are_resized_and_cropped_in_the_middle(tmp_path):
    wide = np.zeros((16, 48, 3), np.uint8)
    wide[:, 16:32] = (10, 20, 30)
    Image.fromarray(wide).save(tmp_path / "wide.png")
    sources = [tmp_path / "wide.png", encode_png(Image.new("L", (9, 30), 7)), encode_png(Image.new("RGB", (16, 16)))]
    pixels = classifier.decode(enumerate(sources), 3, 16, str(tmp_path))
    assert pixels.shape == (3, 3, 16, 16)
    assert pixels[:].dtype == np.uint8
    assert (pixels[0] == np.array([10, 20, 30]).reshape(3, 1, 1)).all()
    assert (pixels[1] == 7).all()


def test_input_is_normalised():
    pixels = torch.full((2, 3, 4, 4), 255, dtype=torch.uint8)
    values = classifier.to_input(pixels, torch.device("cpu"))
    expected = [(1 - mean) / std for mean, std in zip(classifier.MEAN, classifier.STD, strict=True)]
    assert values.shape == (2, 3, 4, 4)
    assert values[0, :, 0, 0].tolist() == pytest.approx(expected, abs=1e-5)


def test_a_saved_network_gives_the_same_logits(tmp_path):
    torch.manual_seed(0)
    network = classifier.build(SMALL, None, 3)
    network.train()
    network.encoder(torch.randn(8, 3, 32, 32))  # batch-norm statistics of its own
    network.eval()
    classifier.save(network, str(tmp_path / "a.safetensors"), ["x", "y", "z"], 32)
    loaded, labels, size = classifier.load(str(tmp_path / "a.safetensors"))
    loaded.eval()
    assert (labels, size) == (["x", "y", "z"], 32)
    inputs = torch.randn(4, 3, 32, 32)
    with torch.inference_mode():
        assert network.encoder(inputs).shape == (4, 128)
        assert torch.equal(network.head(network.encoder(inputs)), loaded.head(loaded.encoder(inputs)))


def test_an_unknown_encoder_is_named():
    with pytest.raises(UserError, match="resnet5000"):
        classifier.build(EncoderModel(name="resnet5000"), None, 2)
    with pytest.raises(UserError, match="use a ResNet"):
        classifier.build(EncoderModel(name="squeezenet1_1"), None, 2)


def test_epochs_are_steps_by_the_number_of_images():
    values = {"learning_rate": 0.1, "weight_decay": 0.0, "momentum": 0.0, "batch_size": 8, "beta": 0.5}
    assert classifier.length(RetrainValues(**values, epochs=3), 20) == 6
    assert classifier.length(RetrainValues(**values, epochs=3), 5) == 3
    assert classifier.length(RetrainValues(**values, steps=7), 20) == 7


def test_augmentation_keeps_the_shape_and_gives_each_image_its_own():
    torch.manual_seed(0)
    images = torch.randn(1, 3, 16, 16).expand(6, -1, -1, -1)
    changed = augment(images, Augmentation(crop_scale=0.5, flip=True))
    assert changed.shape == images.shape
    assert len({tuple(image.flatten().tolist()) for image in changed}) == 6


def test_without_augmentation_images_stay_as_they_are():
    images = torch.randn(2, 3, 16, 16)
    assert torch.equal(augment(images, Augmentation(crop_scale=1.0, flip=False)), images)


def test_flips_alone_give_the_image_or_its_mirror():
    torch.manual_seed(0)
    images = torch.randn(1, 3, 16, 16).expand(16, -1, -1, -1)
    kinds = set()
    for image in augment(images, Augmentation(crop_scale=1.0, flip=True)):
        same = torch.allclose(image, images[0], atol=1e-4)
        mirror = torch.allclose(image, images[0].flip(-1), atol=1e-4)
        assert same != mirror
        kinds.add(same)
    assert kinds == {True, False}


def retraining(**values) -> RetrainValues:
    return RetrainValues(
        **{
            "learning_rate": 0.5,
            "weight_decay": 0.0,
            "momentum": 0.9,
            "batch_size": 4,
            "steps": 40,
            "beta": 0.5,
            **values,
        }
    )


def test_the_last_layer_learns_classes_that_differ_in_size():
    torch.manual_seed(0)
    classes = np.array([0] * 60 + [1] * 4)
    features = torch.randn(64, 5)
    features[classes == 1, 0] += 6
    head = torch.nn.Linear(5, 2)
    fit_last_layer(head, features, classes, 0, retraining())
    assert (head(features).argmax(1).numpy() == classes).mean() > 0.9


@pytest.fixture
def stage1(tmp_path):
    torch.manual_seed(0)
    classifier.save(classifier.build(SMALL, None, 2), str(tmp_path / "stage1.safetensors"), ["a", "b"], 32)
    rows = []
    for number in range(12):
        Image.fromarray(np.random.default_rng(number).integers(0, 255, (32, 32, 3), np.uint8)).save(
            tmp_path / f"{number}.png"
        )
        split = "train" if number < 8 else "test"
        name = {"id": f"{number}.png", "folder": str(tmp_path), "path": f"{number}.png", "split": split}
        rows.append({**name, "label": "ab"[number % 2], "group": f"{'ab'[number % 2]}-x"})
    pd.DataFrame(rows).to_parquet(tmp_path / "split.parquet")
    return tmp_path


def run(folder, recipe, training, seed=0):
    out = [str(folder / f"{recipe}{seed}.{ending}") for ending in ("safetensors", "predictions.parquet")]
    retrain(
        str(folder / "stage1.safetensors"),
        str(folder / "split.parquet"),
        *out,
        seed,
        "code",
        RetrainJob(recipe=recipe, training=training),
    )
    return classifier.load(out[0])[0].state_dict(), pd.read_parquet(out[1])


def test_stage_two_moves_the_last_layer_and_nothing_else(stage1):
    before = classifier.load(str(stage1 / "stage1.safetensors"))[0].state_dict()
    same, _ = run(stage1, "stage1_only", None)
    assert all(torch.equal(before[key], same[key]) for key in before)
    after, table = run(stage1, "llr_all", retraining(steps=3))
    # batch-norm statistics too
    assert {key for key in before if not torch.equal(before[key], after[key])} == {"head.weight", "head.bias"}
    assert len(table) == 12
    assert set(table["predicted"]) <= {"a", "b"}
    assert table["probability"].between(0.5, 1).all()


def test_stage_two_is_the_same_for_the_same_seed(stage1):
    first, _ = run(stage1, "llr_all", retraining(steps=3))
    again, _ = run(stage1, "llr_all", retraining(steps=3))
    other, _ = run(stage1, "llr_all", retraining(steps=3), seed=1)
    assert torch.equal(first["head.weight"], again["head.weight"])
    assert not torch.equal(first["head.weight"], other["head.weight"])


def test_metrics_come_from_predictions(tmp_path):
    from fairdream.classification.evaluate import evaluate

    rows = [("test", "a-x", "a", "a")] * 3 + [("test", "a-x", "a", "b"), ("test", "b-y", "b", "b")]
    rows += [("validation", "a-x", "a", "b"), ("train", "a-x", "a", "b")]
    pd.DataFrame(rows, columns=["split", "group", "label", "predicted"]).to_parquet(tmp_path / "p.parquet")
    evaluate(str(tmp_path / "p.parquet"), str(tmp_path / "m.json"), {"seed": "0"}, {"a-x": 30, "b-y": 10})
    content = json.loads((tmp_path / "m.json").read_text())
    assert content["seed"] == "0"
    test = content["test"]
    assert (test["wga"], test["aga"], test["weighted"], test["sample"]) == (75.0, 87.5, 81.25, 80.0)
    assert test["without_images"] == []
    assert test["groups"]["a-x"] == {"correct": 3, "count": 4}
    assert content["validation"]["wga"] == 0.0
    counts = {"a-x": 30, "b-y": 10, "a-y": 1, "b-x": 0}
    evaluate(str(tmp_path / "p.parquet"), str(tmp_path / "m.json"), {"seed": "0"}, counts)
    assert json.loads((tmp_path / "m.json").read_text())["test"]["without_images"] == ["a-y", "b-x"]
