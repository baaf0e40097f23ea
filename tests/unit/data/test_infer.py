"""An inferred attribute: by words or by XRM, without a look at a true one, and what its page says of it."""

import json

import numpy as np
import pandas as pd
import pytest
from test_xrm import biased

from fairdream.data import inference_report as page
from fairdream.data.infer import InferJob, infer
from fairdream.models import tensor_files

CLIP = {"name": "local-dir:nowhere", "pretrained": None}


@pytest.fixture
def dataset(tmp_path):
    """An index and the embeddings of a data set whose shortcut is `hidden`, which no table has."""
    features, labels, shortcut = biased(0)
    features = (features - 50) / 9
    hashes = [f"{number:064x}" for number in range(len(labels))]
    rows = pd.DataFrame({"id": [f"{number:03d}.png" for number in range(len(labels))], "sha256": hashes})
    rows["label"] = np.array(["cat", "dog"])[labels]
    rows["split"] = np.where(np.arange(len(labels)) % 5 == 4, "validation", "train")
    rows.sample(frac=1, random_state=0).to_parquet(tmp_path / "index.parquet")
    keys = np.array([list(bytes.fromhex(sha)) for sha in hashes], np.uint8)
    tensors = {"embeddings": features.astype(np.float32), "sha256": keys}
    tensor_files.save(tensors, tmp_path / "embeddings.safetensors")
    return tmp_path, dict(zip(rows["id"], shortcut, strict=True))


def inferred(folder, model=None, **values) -> pd.DataFrame:
    config = {"clip": None, "texts": None, "labels": ["dog", "cat"], "seed": 0} | values
    paths = [str(folder / name) for name in ("index.parquet", "embeddings.safetensors")]
    infer(*paths, model, str(folder / "table.csv"), str(folder / "facts.json"), InferJob(**config))
    return pd.read_csv(folder / "table.csv")


def test_xrm_needs_no_attribute_and_learns_from_training_images_alone(dataset):
    folder, shortcut = dataset
    found = inferred(folder)
    assert list(found) == ["id", "split", "label", "attribute", "confidence"]
    names = np.array(["like_cat", "like_dog"])
    right = found["attribute"] == names[found["id"].map(shortcut)]
    assert right[found["split"] == "train"].all()
    assert right[found["split"] == "validation"].mean() > 0.95
    facts = json.loads((folder / "facts.json").read_text())
    conflicting = (found["label"] != found["attribute"].str.removeprefix("like_"))[found["split"] == "train"]
    assert facts["flipped"] == pytest.approx(conflicting.mean())


def test_words_need_no_class(dataset, monkeypatch):
    folder, shortcut = dataset
    axes = {"on land": 0, "in a forest": 0, "on water": 1}

    class Fake:
        def __init__(self, config, manifest):
            assert manifest == "clip.json"

        def embed_text(self, text):
            return np.eye(24, dtype=np.float32)[axes[text]]

    monkeypatch.setattr("fairdream.models.clip.Clip", Fake)
    texts = {"water": ["on water"], "land": ["on land", "in a forest"]}
    found = inferred(folder, "clip.json", clip=CLIP, texts=texts, labels=[])
    assert (found["attribute"] == np.array(["land", "water"])[found["id"].map(shortcut)]).all()


@pytest.fixture
def told(tmp_path, monkeypatch):
    """The page on some rows of (label, value, true value, confidence), and the rows of its sheet."""
    sheets = []
    monkeypatch.setattr(page, "draw_sheet", lambda rows, title, figure: sheets.append(rows))

    def tell(rows, facts=(), **values):
        table = pd.DataFrame(rows, columns=["label", "attribute", "truth", "confidence"])
        table.insert(0, "id", [f"{number}.png" for number in range(len(table))])
        table["split"] = "train"
        table.drop(columns="truth").to_csv(tmp_path / "table.csv", index=False)
        index = pd.DataFrame({"id": table["id"], "attribute": table["truth"], "folder": "data", "path": table["id"]})
        index[::-1].to_parquet(tmp_path / "index.parquet")
        (tmp_path / "facts.json").write_text(json.dumps(dict(facts)))
        config = {"dataset": "pets", "way": "words", "labels": ["cat", "dog"], "values": ["land", "water"]}
        config |= {"true_values": ["land", "water"], "min_images": 4} | values
        names = ("table.csv", "facts.json", "index.parquet", "page.md", "sheet.png")
        page.inference_report(*(str(tmp_path / name) for name in names), page.ReportJob(**config))
        return (tmp_path / "page.md").read_text(), sheets[-1]

    return tell


ROWS = [("cat", "land", "land", 0.9)] * 6 + [("cat", "water", "land", 0.6)] * 5 + [("dog", "water", "water", 0.8)] * 9


def test_a_group_without_an_image_and_one_of_too_little_confidence_are_named(told):
    text, _ = told(ROWS)
    assert "| cat-land | 6 | 0 | 0 | 5.4 |" in text
    assert "**dog-land has no training image**" in text
    assert "**cat-water**: its 5 training images are worth 3.0 by their confidence, fewer than 4" in text
    assert "**dog-water**" not in text


def test_a_true_attribute_is_compared_with(told):
    text, _ = told(ROWS)
    assert "| cat-land | 6 | 5 |" in text
    assert "Right: train 75.00%." in text


def test_other_values_than_the_true_ones_are_counted_and_not_called_right(told):
    text, _ = told(ROWS, [("flipped", 0.05), ("rate", 0.1), ("decay", 1.0)], true_values=["land", "water", "air"])
    assert "| cat-land | 6 | 5 |" in text
    assert "Right" not in text
    assert "flipped 5.00% of the training labels" in text


def test_without_a_true_attribute_nothing_is_compared(told):
    assert "No true attribute is known" in told(ROWS, true_values=["unknown"])[0]


def test_the_sheet_has_the_surest_and_the_least_sure_of_each_value(told):
    rows = [("cat", "land", "land", 0.5 + number / 100) for number in range(30)]
    _, sheet = told(rows, values=["land"])
    surest, least = (frames for _, frames in sheet)
    assert [len(surest), len(least)] == [page.SHOWN, page.SHOWN]
    assert surest[0].words == "cat\n0.790"
    assert least[0].words == "cat\n0.500"
