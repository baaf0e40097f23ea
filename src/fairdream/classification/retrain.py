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
    The last layer on the held-out images that the classifier is least sure of (`self_selection`).
``dfr``
    The last layer from balanced held-out images (`dfr`).
``afr``
    The last layer on training images that stage 1 has not seen, those that it is unsure of before others (`afr`).
``dfr_synthetic``
    The last layer as in ``dfr``, from a balanced selection of synthetic images: no group label of a real image is read.
``hsfm``
    The last layer on features of training images that are moved for hard held-out images (`hsfm`).

On a frozen encoder the SupCon term of the paper's loss does not depend on the last layer: it is computed on the
penultimate features, so its gradient is zero. What remains of beta * CE + (1 - beta) * SupCon is beta * CE, and that
is what is minimised here. The frozen encoder stays in eval mode, so its batch-norm statistics do not drift, and its
features are computed once.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from fairdream.classification import afr, classifier, dfr, hsfm, selected_images, self_selection
from fairdream.classification.checkpoint import Checkpoint
from fairdream.classification.last_layer import fit_last_layer, images_at, replace_weights
from fairdream.classification.trainer import contrastive_loss, group_dro_loss, train_network
from fairdream.config.base import Section
from fairdream.config.baselines import AfrFit, DfrValues, GroupDroValues, HsfmValues, SelfValues
from fairdream.config.retrain import RetrainValues
from fairdream.config.training import Augmentation
from fairdream.data.groups import label_of
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
    synthetic_images: int | None = None
    afr: AfrFit | None = None
    hsfm: HsfmValues | None = None


def retrain(
    stage1: str,
    split: str,
    weights: str,
    predictions: str,
    seed: int,
    code: str,
    config: RetrainJob,
    selected: str | None = None,
) -> None:
    """Apply a recipe and predict every real image.

    Writes the classifier to `weights` and `id, split, group, label, predicted, probability` to `predictions`.

    Parameters
    ----------
    selected
        The selection of synthetic images, for the recipe that learns from them.
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
            self_selection.fit(network, stage1, pixels, features, rows, seed, config.self_, device)
        elif selected:
            _synthetic_dfr(network, selected, labels, image_size, seed, config)
        elif config.dfr:
            _dfr(network.head, features, rows, seed, config.dfr)
        elif config.afr:
            _afr(network.head, features, rows, config.afr)
        elif config.hsfm:
            _hsfm(network.head, features, rows, seed, config.hsfm)
        elif config.training and not config.augmentation:
            chosen = _training_images(rows, config.recipe, seed)
            classes = rows["class"].to_numpy()
            fit_last_layer(network.head, features, classes, seed, config.training, config.training.beta, chosen)
    probabilities = network.head(features).softmax(dim=1).detach().cpu().numpy()
    told = {"predicted": np.array(labels)[probabilities.argmax(axis=1)], "probability": probabilities.max(axis=1)}
    classifier.save(network, weights, labels, image_size)
    with atomic(predictions) as path:
        rows[["id", "split", "group", "label"]].assign(**told).to_parquet(path, index=False)
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


def _dfr(head: torch.nn.Linear, features: torch.Tensor, rows: pd.DataFrame, seed: int, config: DfrValues) -> None:
    import numpy as np

    held_out = np.flatnonzero(rows["split"].to_numpy(str) == "validation")
    classes, groups = rows["class"].to_numpy()[held_out], rows["group"].to_numpy(str)[held_out]
    dfr.check(classes, head.out_features)
    _fit_dfr(head, features[held_out], classes, groups, np.random.default_rng(seed_of("dfr", seed)), config)


def _synthetic_dfr(
    network: classifier.Network, selected: str, labels: list[str], image_size: int, seed: int, config: RetrainJob
) -> None:
    """Learn from as many synthetic images of each group as the configuration says."""
    import numpy as np

    assert config.dfr
    assert config.synthetic_images
    generator = np.random.default_rng(seed_of("synthetic dfr", seed))
    features, groups = selected_images.features_of(network, selected, config.synthetic_images, image_size, generator)
    classes = np.array([labels.index(label_of(group)) for group in groups])
    if np.bincount(classes, minlength=len(labels)).min() < 2:
        raise UserError(f"{selected}: DFR on synthetic images needs two of each class; raise generate.images_per_group")
    _fit_dfr(network.head, features, classes, groups, generator, config.dfr)


def _fit_dfr(
    head: torch.nn.Linear,
    features: torch.Tensor,
    classes: np.ndarray,
    groups: np.ndarray,
    generator: np.random.Generator,
    config: DfrValues,
) -> None:
    import numpy as np
    import torch

    values = features.cpu().numpy().astype(np.float64)
    weight, bias = dfr.fit(values, classes, groups, config.strengths, config.refits, generator)
    replace_weights(head, torch.from_numpy(weight), torch.from_numpy(bias))


def _afr(head: torch.nn.Linear, features: torch.Tensor, rows: pd.DataFrame, config: AfrFit) -> None:
    """Learn from what stage 1 has not seen: images held back, or all training images where it saw synthetic ones."""
    import numpy as np

    split = rows["split"].to_numpy(str)
    unseen, held_out = (np.flatnonzero(split == name) for name in ("held_back", "validation"))
    if not len(unseen):
        unseen = np.flatnonzero(split == "train")
    shown, classes = rows["label"].iloc[held_out].nunique(), head.out_features
    if shown < classes:
        raise UserError(
            f"AFR chooses by the validation images, which show {shown} of {classes} classes: give more of them "
            "(held_out.validation), or take afr out of methods"
        )
    images, checked = (images_at(features, rows, positions) for positions in (unseen, held_out))
    replace_weights(head, *afr.fit(head.weight.double(), head.bias.double(), images, checked, config))


def _hsfm(head: torch.nn.Linear, features: torch.Tensor, rows: pd.DataFrame, seed: int, config: HsfmValues) -> None:
    """Choose hard images from one half of the validation set, and the epoch by the other."""
    import numpy as np

    split, classes = rows["split"].to_numpy(str), rows["class"].to_numpy()
    train, held_out = (np.flatnonzero(split == name) for name in ("train", "validation"))
    dfr.check(classes[held_out], head.out_features, "hsfm")
    generator = np.random.default_rng(seed_of("hsfm", seed))
    pool, checked = (held_out[half] for half in dfr.halves(classes[held_out], generator))
    support = train[dfr.balanced_subset(classes[train], generator, config.images)]
    images = [images_at(features, rows, positions) for positions in (support, pool, checked)]
    layer = hsfm.fit(head.weight.double(), head.bias.double(), images[0], images[1], images[2], config)
    replace_weights(head, *layer)
