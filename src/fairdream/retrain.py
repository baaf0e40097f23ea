"""Stage 2: what the real training set teaches the classifier of stage 1.

Recipes: `llr_all` re-trains the last layer on all real training images with class-balanced batches (the paper's
LLR_all); `stage1_only` leaves the classifier as it is.

On a frozen encoder the SupCon term of the paper's loss does not depend on the last layer: it is computed on the
penultimate features, so its gradient is zero. What remains of beta * CE + (1 - beta) * SupCon is beta * CE, and that
is what is minimised here. The encoder stays in eval mode, so its batch-norm statistics do not drift, and its features
are computed once.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from fairdream import classifier
from fairdream.config import Retrain, Section
from fairdream.device import best_device
from fairdream.files import atomic
from fairdream.identity import seed_of
from fairdream.job import LOGGER

if TYPE_CHECKING:
    import numpy as np
    import torch


class RetrainJob(Section):
    """A recipe and, if it trains, its values."""

    recipe: str
    training: Retrain | None


def retrain(stage1: str, split: str, weights: str, predictions: str, seed: int, config: RetrainJob) -> None:
    """Apply a recipe and predict every real image.

    Writes the classifier to `weights` and `id, split, group, label, predicted, probability` to `predictions`.
    """
    import numpy as np
    import pandas as pd
    import torch

    device = best_device()
    network, labels, image_size = classifier.load(stage1)
    network.to(device).eval().requires_grad_(False)
    rows = pd.read_parquet(split)
    features = encode(network, rows, image_size, device)
    classes = rows["label"].map({name: number for number, name in enumerate(labels)}).to_numpy(np.int64)
    if config.training is not None:
        train = np.flatnonzero(rows["split"].to_numpy(str) == "train")
        train_last_layer(network.head, features[train], classes[train], seed, config.training)
    with torch.inference_mode():
        probabilities = network.head(features).softmax(dim=1).cpu().numpy()
    predicted = probabilities.argmax(axis=1)
    table = rows[["id", "split", "group", "label"]].assign(
        predicted=np.array(labels)[predicted], probability=probabilities.max(axis=1)
    )
    classifier.save(network, weights, labels, image_size)
    with atomic(predictions) as path:
        table.to_parquet(path, index=False)


def encode(network: torch.nn.Module, rows, image_size: int, device: torch.device) -> torch.Tensor:
    """Return the penultimate features (n, d) of real images."""
    import torch

    sources = [Path(folder, path) for folder, path in zip(rows["folder"], rows["path"], strict=True)]
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        pixels = classifier.decode(sources, image_size, folder)
        parts = [
            network.encoder(classifier.to_input(pixels[start : start + 256], device))
            for start in range(0, len(sources), 256)
        ]
        return torch.cat(parts)


def train_last_layer(
    head: torch.nn.Linear, features: torch.Tensor, classes: np.ndarray, seed: int, config: Retrain
) -> None:
    """Minimise beta * CE of the last layer on fixed features with class-balanced batches of SGD."""
    import numpy as np
    import torch
    import torch.nn.functional as F

    head.requires_grad_(True)
    # a copy: tensors made under inference mode cannot enter autograd
    features, targets = features.clone(), torch.from_numpy(classes).to(features.device)
    optimizer = torch.optim.SGD(
        head.parameters(), lr=config.learning_rate, momentum=config.momentum, weight_decay=config.weight_decay
    )
    steps = classifier.length(config, len(features))
    LOGGER.info("%d images, %d steps, SGD with momentum %g", len(features), steps, config.momentum)
    generator = np.random.default_rng(seed_of("stage 2", seed))
    for batch in classifier.balanced_batches(classes, config.batch_size, steps, generator, "Stage 2"):
        loss = config.beta * F.cross_entropy(head(features[batch]), targets[batch])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
