"""A last layer on features that are computed once: its training, and what recipes choose it by."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from fairdream.classification import classifier
from fairdream.classification.trainer import optimizer_of
from fairdream.config.training import Training
from fairdream.identity import seed_of
from fairdream.runtime.job import LOGGER

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import torch


@dataclass(frozen=True)
class Images:
    """Images as a last layer sees them.

    Attributes
    ----------
    features
        (n, d), float64.
    classes, groups
        (n,), numbers from 0; each group has an image.
    """

    features: torch.Tensor
    classes: torch.Tensor
    groups: torch.Tensor


def images_at(features: torch.Tensor, rows: pd.DataFrame, positions: np.ndarray) -> Images:
    """Return the images at some positions of the table `rows`, whose features (n, d) are on the device to be used."""
    import numpy as np
    import torch

    own = rows.iloc[positions]
    groups = np.unique(own["group"].to_numpy(str), return_inverse=True)[1]
    place = torch.from_numpy(positions).to(features.device)
    numbers = [torch.from_numpy(np.array(values)).to(features.device) for values in (own["class"], groups)]
    return Images(features[place].double(), *numbers)


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


def worst_group(right: torch.Tensor, groups: torch.Tensor) -> torch.Tensor:
    """Return the lowest accuracy over groups, a share, of each of r classifiers.

    Parameters
    ----------
    right
        (n, r), whether each classifier is right about each image.
    groups
        (n,) the images' groups, 0..g-1, each of which has an image.
    """
    import torch

    sums = torch.zeros(int(groups.max()) + 1, right.shape[1], dtype=torch.float64, device=right.device)
    sums.index_add_(0, groups, right.double())  # of ones: exact in any order
    return (sums / torch.bincount(groups)[:, None]).min(dim=0).values


def replace_weights(head: torch.nn.Linear, weight: torch.Tensor, bias: torch.Tensor) -> None:
    """Put a weight (c, d) and a bias (c,), of any precision and device, into a last layer."""
    import torch

    with torch.no_grad():
        head.weight.copy_(weight)
        head.bias.copy_(bias)
