"""An exported classifier as ONNX, for programs without PyTorch: ``fairdream export-onnx MODEL``."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

from fairdream.classification import classifier
from fairdream.errors import UserError
from fairdream.runtime.files import atomic

NEEDED = ("onnx", "onnxscript")


def to_onnx(model: str | Path, output: str | Path | None = None) -> Path:
    """Write a classifier as ONNX and return the file's path.

    The graph takes `pixels` (n, 3, image_size, image_size), float32 in [0, 1], normalises them itself, and gives
    `probabilities` (n, labels). Its metadata has `labels` and `image_size`.

    Parameters
    ----------
    model
        A folder made by `export`.
    output
        The file; ``None``: `model.onnx` in the folder.

    Raises
    ------
    UserError
        When a package is missing, or there is no classifier.
    """
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(
            f"ONNX needs {' and '.join(missing)}, which nothing else here does: install them into the environment that "
            "runs this; into that of `make setup` by `.venv-uv/bin/uv pip install onnx onnxscript`"
        )
    import onnx
    import torch

    from fairdream.classification.predict import load

    network, labels, size = load(Path(model))

    whole = _whole(network)
    program: Any = torch.onnx.export(
        whole,
        (torch.zeros(2, 3, size, size),),
        input_names=["pixels"],
        output_names=["probabilities"],
        dynamic_shapes={"pixels": {0: torch.export.Dim("images")}},
        dynamo=True,
        verbose=False,
    )
    path = Path(output) if output else Path(model, "model.onnx")
    proto = program.model_proto
    onnx.helper.set_model_props(proto, {"labels": json.dumps(labels), "image_size": str(size)})
    onnx.checker.check_model(proto, full_check=True)
    with atomic(path) as temporary:
        onnx.save(proto, temporary)
    return path


def _whole(network: classifier.Network) -> Any:
    """Return a module from pixels in [0, 1] to probabilities."""
    import torch
    from torch import nn

    class Whole(nn.Module):
        mean: torch.Tensor
        std: torch.Tensor

        def __init__(self) -> None:
            super().__init__()
            self.network = network
            self.register_buffer("mean", torch.tensor(classifier.MEAN).view(1, 3, 1, 1))
            self.register_buffer("std", torch.tensor(classifier.STD).view(1, 3, 1, 1))

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return self.network.head(self.network.encoder((pixels - self.mean) / self.std)).softmax(1)

    whole: Any = Whole().eval()  # torch's types know no memory format of a module
    return whole.to(memory_format=torch.contiguous_format)
