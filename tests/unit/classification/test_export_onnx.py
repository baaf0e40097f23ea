"""A classifier that is taken away as ONNX: what it predicts, and what is said where the packages are missing."""

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")

from fairdream.classification import classifier, export_onnx  # noqa: E402
from fairdream.classification.predict import predict  # noqa: E402
from fairdream.config.models import EncoderModel  # noqa: E402
from fairdream.errors import UserError  # noqa: E402


@pytest.fixture
def model(tmp_path):
    torch.manual_seed(0)
    network = classifier.build(EncoderModel(name="small_cnn"), None, 2)
    network.train()
    for _ in range(3):  # other statistics than those that batch norm begins with
        network.encoder(2 * torch.randn(8, 3, 32, 32) + 1)
    (tmp_path / "model").mkdir()
    classifier.save(network, str(tmp_path / "model/model.safetensors"), ["dark", "light"], 32)
    return tmp_path / "model"


def test_a_missing_package_is_named(model, monkeypatch):
    monkeypatch.setattr(export_onnx, "NEEDED", ("onnx_of_another_world",))
    with pytest.raises(UserError, match="ONNX needs onnx_of_another_world"):
        export_onnx.to_onnx(model)
    assert not (model / "model.onnx").exists()


def test_the_onnx_file_predicts_what_the_classifier_predicts(model, tmp_path):
    reason = "onnx and onnxscript are not installed: an extra of the package"
    onnx = pytest.importorskip("onnx", reason=reason)
    pytest.importorskip("onnxscript", reason=reason)
    from onnx.reference import ReferenceEvaluator

    command = [sys.executable, "-m", "fairdream", "onnx", str(model)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=170)
    assert done.returncode == 0, done.stderr
    proto = onnx.load(model / "model.onnx")
    properties = {own.key: own.value for own in proto.metadata_props}
    assert json.loads(properties["labels"]) == ["dark", "light"]
    assert properties["image_size"] == "32"
    pictures = np.random.default_rng(0).integers(0, 255, (5, 32, 32, 3), np.uint8)
    for number, picture in enumerate(pictures):
        Image.fromarray(picture).save(tmp_path / f"{number}.png")
    table, _ = predict(model, [tmp_path / f"{number}.png" for number in range(5)])
    pixels = pictures.transpose(0, 3, 1, 2).astype(np.float32) / 255
    (probabilities,) = ReferenceEvaluator(proto).run(None, {"pixels": pixels})
    assert np.abs(probabilities - table[["p_dark", "p_light"]].to_numpy()).max() < 1e-5
