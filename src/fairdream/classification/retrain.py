"""Stage 2: what real images teach the classifier of stage 1.

Recipes
-------
``stage1_only``
    The classifier as it is.
``llr_all``, ``llr_balanced``
    The last layer on all real training images with class-balanced batches (the paper's LLR_all), or on as many images
    of each group as the smallest has (LLR_b).
``ft_all``, ``ft_balanced``
    The whole network on all images as they come (FFR's second stage), or on the balanced ones (FT_b), with the loss of
    stage 1.
``gdro``
    The whole network on all images with Group-DRO (Table 2).
``self``
    The last layer on the held-out images that the classifier is least sure of (`disagreement`).
``dfr``
    The last layer from balanced held-out images (`dfr`).

On a frozen encoder the SupCon term of the paper's loss does not depend on the last layer: it is computed on the
penultimate features, so its gradient is zero. What remains of beta * CE + (1 - beta) * SupCon is beta * CE, and that
is what is minimised here. The frozen encoder stays in eval mode, so its batch-norm statistics do not drift, and its
features are computed once.
"""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from fairdream.classification import classifier, dfr
from fairdream.classification.checkpoint import Checkpoint
from fairdream.classification.self_selection import disagreement, highest, misclassification
from fairdream.classification.trainer import contrastive_loss, group_dro_loss, optimizer_of, train_network
from fairdream.config.base import Section
from fairdream.config.baselines import DfrValues, GroupDroValues, SelfValues
from fairdream.config.retrain import RetrainValues
from fairdream.config.training import Augmentation, Training
from fairdream.data.pixels import Pixels
from fairdream.errors import UserError
from fairdream.identity import digest, file_digest, seed_of
from fairdream.models.device import allow_tf32, best_device
from fairdream.models.tensor_files import content_digest
from fairdream.runtime.files import atomic
from fairdream.runtime.job import LOGGER

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import torch


class RetrainJob(Section):
    """A recipe and the values that it reads."""

    recipe: str
    training: RetrainValues | None = None
    augmentation: Augmentation | None = None
    beta: float = 1.0
    temperature: float = 1.0
    gdro: GroupDroValues | None = None
    self_: SelfValues | None = None
    dfr: DfrValues | None = None


def retrain(stage1: str, split: str, weights: str, predictions: str, seed: int, code: str, config: RetrainJob) -> None:
    """Apply a recipe and predict every real image.

    Writes the classifier to `weights` and `id, split, group, label, predicted, probability` to `predictions`.
    """
    import numpy as np
    import pandas as pd

    device = best_device()
    allow_tf32(device)
    network, labels, image_size = classifier.load(stage1)
    network.to(device)
    rows = pd.read_parquet(split)
    rows["class"] = rows["label"].map({name: number for number, name in enumerate(labels)}).astype(np.int64)
    sources = [Path(folder, path) for folder, path in zip(rows["folder"], rows["path"], strict=True)]
    with tempfile.TemporaryDirectory() as folder:
        pixels = classifier.decode(enumerate(sources), len(sources), image_size, folder)
        identity = digest([config.model_dump(), seed, code, content_digest(stage1), file_digest(split)])
        checkpoint = Checkpoint(Path(weights).with_suffix(".checkpoint"), identity)
        if config.augmentation:
            _train_all(network, pixels, rows, seed, config, device, checkpoint)
        features = classifier.encode(network, pixels, device)
        network.requires_grad_(False)
        if config.self_:
            _self(network, stage1, pixels, features, rows, seed, config.self_, device)
        elif config.dfr:
            _dfr(network.head, features, rows, seed, config.dfr)
        elif config.training and not config.augmentation:
            chosen = _training_images(rows, config.recipe, seed)
            classes = rows["class"].to_numpy()
            fit_last_layer(network.head, features, classes, seed, config.training, config.training.beta, chosen)
    probabilities = network.head(features).softmax(dim=1).detach().cpu().numpy()
    predicted = probabilities.argmax(axis=1)
    table = rows[["id", "split", "group", "label"]].assign(
        predicted=np.array(labels)[predicted], probability=probabilities.max(axis=1)
    )
    classifier.save(network, weights, labels, image_size)
    with atomic(predictions) as path:
        table.to_parquet(path, index=False)
    checkpoint.remove()


def _training_images(rows: pd.DataFrame, recipe: str, seed: int) -> np.ndarray:
    """Return the positions of the training images that a recipe learns from."""
    import numpy as np

    train = np.flatnonzero(rows["split"].to_numpy(str) == "train")
    if not recipe.endswith("_balanced"):
        return train
    generator = np.random.default_rng(seed_of("balanced", seed))
    return train[dfr.balanced_subset(rows["group"].to_numpy(str)[train], generator)]


def _train_all(
    network: classifier.Network,
    pixels: Pixels,
    rows: pd.DataFrame,
    seed: int,
    config: RetrainJob,
    device: torch.device,
    checkpoint: Checkpoint,
) -> None:
    """Train the whole network: ft_all, ft_balanced and gdro."""
    import numpy as np
    import torch

    assert config.training
    assert config.augmentation
    chosen = _training_images(rows, config.recipe, seed)
    targets = torch.from_numpy(rows["class"].to_numpy()[chosen]).to(device)
    groups = rows["group"].to_numpy(str)[chosen]
    if config.gdro:
        loss = group_dro_loss(targets, groups, config.gdro.step_size, config.gdro.adjustment, device)
    else:
        loss = contrastive_loss(targets, config.beta, config.temperature)
    steps = classifier.length(config.training, len(chosen))
    LOGGER.info("%d images, %d steps of %s", len(chosen), steps, config.training.optimizer)
    # Group-DRO's authors draw groups equally often; FFR takes images as they come
    strata = groups if config.gdro else np.zeros(len(chosen), np.int64)
    generator = np.random.default_rng(seed_of("stage 2", seed))
    torch.manual_seed(seed_of("stage 2", seed))
    batches = classifier.balanced_batches(strata, config.training.batch_size, steps, generator, "Stage 2")
    images = pixels.subset(chosen)
    train_network(
        network, images, batches, steps, loss, config.training, config.augmentation, device, checkpoint=checkpoint
    )


def fit_last_layer(
    head: torch.nn.Linear,
    features: torch.Tensor,
    classes: np.ndarray,
    seed: int,
    config: Training,
    beta: float = 1.0,
    chosen: np.ndarray | None = None,
) -> None:
    """Minimise beta * CE of a last layer on features (n, d) of classes (n,), every class equally often in a batch.

    Parameters
    ----------
    chosen
        (m,) rows of the images to learn from, which are not copied; ``None``: all.
    """
    import numpy as np
    import torch
    import torch.nn.functional as F

    head.requires_grad_(True)
    targets = torch.tensor(classes, device=features.device)
    optimizer = optimizer_of(head.parameters(), config)
    chosen = np.arange(len(features)) if chosen is None else chosen
    steps = classifier.length(config, len(chosen))
    LOGGER.info("%d images, %d steps of %s", len(chosen), steps, config.optimizer)
    generator = np.random.default_rng(seed_of("stage 2", seed))
    batches = classifier.balanced_batches(classes[chosen], config.batch_size, steps, generator, "Stage 2")
    # the rows of many steps go to the device at once: a copy in each step would make the host wait for the one before
    while some := list(islice(batches, 1000)):
        for rows in torch.from_numpy(chosen[np.stack(some)]).to(features.device):
            loss = beta * F.cross_entropy(head(features[rows]), targets[rows])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()


def _self(
    network: classifier.Network,
    stage1: str,
    pixels: Pixels,
    features: torch.Tensor,
    rows: pd.DataFrame,
    seed: int,
    config: SelfValues,
    device: torch.device,
) -> None:
    """Re-train the last layer on the images of one half of the validation set that score highest.

    The other half's worst group chooses among the values to be tried; its group labels are the only ones used.
    """
    import numpy as np

    held_out = np.flatnonzero(rows["split"].to_numpy(str) == "validation")
    if len(held_out) < 2:
        raise UserError(
            f"SELF learns from one half of the validation images and chooses by the other, and there are "
            f"{len(held_out)}: give more of them (held_out.validation), or take self out of methods"
        )
    held_out = np.random.default_rng(seed_of("held out", seed)).permutation(held_out)
    pool, check = held_out[: len(held_out) // 2], held_out[len(held_out) // 2 :]
    classes, groups = rows["class"].to_numpy(), rows["group"].to_numpy(str)
    best, best_head = -1.0, network.head
    for name, scores in _scores(network, stage1, pixels, features, classes, pool, seed, config, device):
        for count in config.images:
            chosen = pool[highest(scores, count).cpu().numpy()]
            for rate in config.learning_rates:
                head = copy.deepcopy(network.head)
                training = Training(
                    learning_rate=rate,
                    weight_decay=config.weight_decay,
                    momentum=0.0,
                    batch_size=config.batch_size,
                    steps=config.steps,
                )
                fit_last_layer(head, features[chosen], classes[chosen], seed, training)
                right = head(features[check]).argmax(1).cpu().numpy() == classes[check]
                worst = min(right[groups[check] == group].mean() for group in np.unique(groups[check]))
                LOGGER.info("%s, %d images, rate %g: worst held-out group %.4f", name, count, rate, worst)
                if worst > best:
                    best, best_head = worst, head
    network.head = best_head


def _scores(
    network: classifier.Network,
    stage1: str,
    pixels: Pixels,
    features: torch.Tensor,
    classes: np.ndarray,
    pool: np.ndarray,
    seed: int,
    config: SelfValues,
    device: torch.device,
) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield a name and the scores (n,) of the pool for each variant of the configured score."""
    import numpy as np
    import torch
    import torch.nn.functional as F

    targets = torch.from_numpy(classes[pool]).to(device)
    logits = network.head(features[pool])
    if config.score == "misclassification":
        yield config.score, misclassification(logits, targets)
    elif config.score == "dropout_disagreement":
        generator_state = torch.manual_seed(seed_of("dropout", seed)).get_state()
        for rate in config.dropouts:
            torch.set_rng_state(generator_state)
            # on the features alone: batch norm stays in eval mode
            yield f"dropout {rate:g}", disagreement(logits, network.head(F.dropout(features[pool], rate)))
    else:
        for name in classifier.checkpoints(stage1):
            early, _, _ = classifier.load(stage1, name)
            other = classifier.predict(early.to(device), pixels.subset(np.sort(pool)), device)
            other = other[np.argsort(np.argsort(pool))]  # read in order, returned in the pool's
            if config.score == "early_stop_misclassification":
                yield name, misclassification(other, targets)
            else:
                yield name, disagreement(logits, other)


def _dfr(head: torch.nn.Linear, features: torch.Tensor, rows: pd.DataFrame, seed: int, config: DfrValues) -> None:
    import numpy as np
    import torch

    held_out = np.flatnonzero(rows["split"].to_numpy(str) == "validation")
    dfr.check(rows["class"].to_numpy()[held_out], head.out_features)
    weight, bias = dfr.fit(
        features[held_out].cpu().numpy().astype(np.float64),
        rows["class"].to_numpy()[held_out],
        rows["group"].to_numpy(str)[held_out],
        config.strengths,
        config.refits,
        np.random.default_rng(seed_of("dfr", seed)),
    )
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(weight))
        head.bias.copy_(torch.from_numpy(bias))
