"""Stage 1: encoder and last layer, trained on the selected synthetic images (ERM: on the real training set)."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairdream import classifier
from fairdream.bias import label_of
from fairdream.config import EncoderModel, Pretrain
from fairdream.device import best_device
from fairdream.errors import UserError
from fairdream.identity import seed_of
from fairdream.images import read_pngs
from fairdream.job import LOGGER
from fairdream.losses import stage_loss

if TYPE_CHECKING:
    import torch


class PretrainJob(Pretrain):
    """What stage 1 needs beside the images."""

    encoder: EncoderModel
    labels: list[str]


def pretrain(
    selected: str | None, split: str | None, weights: str, stage1: str, seed: int, config: PretrainJob
) -> None:
    """Train a classifier from the encoder's initial weights.

    Synthetic images are drawn group-balanced; real ones as they come, which is what makes ERM biased.

    Parameters
    ----------
    selected
        The selection of synthetic images, or
    split
        the real training set.
    weights
        Manifest of the encoder's initial weights.
    stage1
        Output: the weights, with labels and image size in the header.
    seed
        Of the last layer (and of a random encoder), the order and the augmentation.
    """
    import numpy as np
    import pandas as pd
    import torch

    sources: list[Any]
    if selected is not None:
        chosen = pd.read_parquet(selected)
        pngs = {name: png for shard in chosen["shard"].unique() for name, png in read_pngs(shard).items()}
        sources, groups = [pngs[name] for name in chosen["id"]], chosen["group"].to_numpy(str)
    else:
        rows = pd.read_parquet(split)
        rows = rows[rows["split"] == "train"]
        sources = [Path(f, p) for f, p in zip(rows["folder"], rows["path"], strict=True)]
        groups = rows["group"].to_numpy(str)
    labels = np.array([config.labels.index(label_of(group)) for group in groups])
    strata = groups if selected is not None else np.zeros(len(groups), np.int64)

    device = best_device()
    # names, not the method: every method starts from the same weights
    torch.manual_seed(seed_of("classifier", seed))
    network = classifier.build(config.encoder, weights, len(config.labels)).to(device).train()
    optimizer = torch.optim.SGD(
        network.parameters(), lr=config.learning_rate, momentum=config.momentum, weight_decay=config.weight_decay
    )
    steps = classifier.length(config, len(sources))
    LOGGER.info("%d images, %d steps, SGD with momentum %g", len(sources), steps, config.momentum)
    generator = np.random.default_rng(seed_of("stage 1", seed))
    with tempfile.TemporaryDirectory() as folder:
        pixels = classifier.decode(sources, config.image_size, folder)
        for batch in classifier.balanced_batches(strata, config.batch_size, steps, generator, "Stage 1"):
            inputs = augment(classifier.to_input(pixels[batch], device), config)
            features = network.encoder(inputs)  # (b, d)
            loss = stage_loss(
                network.head(features),
                features,
                torch.from_numpy(labels[batch]).to(device),
                config.beta,
                config.temperature,
            )
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        last = loss.item()
    if last != last:
        raise UserError("the loss is NaN; lower pretrain.learning_rate")
    LOGGER.info("last loss %.4f", last)
    classifier.save(network, stage1, config.labels, config.image_size)


def augment(inputs: torch.Tensor, config: Pretrain) -> torch.Tensor:
    """Return images (b, 3, h, w) after a random resized crop and a random flip, each image its own."""
    import torch
    import torch.nn.functional as F

    if config.crop_scale == 1 and not config.flip:
        return inputs
    count, device = len(inputs), inputs.device
    scale = (config.crop_scale + (1 - config.crop_scale) * torch.rand(count)).sqrt()
    shift = (2 * torch.rand(count, 2) - 1) * (1 - scale)[:, None]
    flip = 1 - 2 * (torch.rand(count) < 0.5).float() if config.flip else torch.ones(count)
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0], theta[:, 1, 1], theta[:, :, 2] = scale * flip, scale, shift
    grid = F.affine_grid(theta, list(inputs.shape), align_corners=False).to(device)
    return F.grid_sample(inputs, grid, padding_mode="reflection", align_corners=False)
