"""SELF: the last layer on the held-out images that the classifier is least sure of (LaBonte et al. 2023).

They are chosen without group labels: every score is high where a biased classifier is unsure of itself.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import TYPE_CHECKING

from fairdream.classification import classifier
from fairdream.classification.last_layer import fit_last_layer, worst_group
from fairdream.config.baselines import SelfValues
from fairdream.config.training import Training
from fairdream.data.pixels import Pixels
from fairdream.errors import UserError
from fairdream.identity import seed_of
from fairdream.runtime.job import LOGGER

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import torch


def misclassification(logits: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """Return each image's cross-entropy (n,) under logits (n, c)."""
    import torch.nn.functional as F

    return F.cross_entropy(logits, classes, reduction="none")


def disagreement(logits: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Return KL(other || logits) of the two predictions (n, c), divided by the number of classes, as the authors do.

    With `other` an early checkpoint's prediction: early-stop disagreement; with dropout's: dropout disagreement.
    """
    import torch.nn.functional as F

    return F.kl_div(logits.log_softmax(1), other.log_softmax(1), log_target=True, reduction="none").mean(1)


def highest(scores: torch.Tensor, count: int) -> torch.Tensor:
    """Return the indices (min(count, n),) of the highest scores; of equals the earlier ones."""
    return scores.sort(descending=True, stable=True).indices[:count]


def fit(
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
    import torch

    held_out = np.flatnonzero(rows["split"].to_numpy(str) == "validation")
    shown, all_classes = rows["class"].iloc[held_out].nunique(), network.head.out_features
    if len(held_out) < 2 or shown < all_classes:
        raise UserError(
            f"SELF learns from one half of the validation images and chooses by the other, and there are "
            f"{len(held_out)}, of {shown} of {all_classes} classes: give more of them (held_out.validation), or take "
            "self out of methods"
        )
    held_out = np.random.default_rng(seed_of("held out", seed)).permutation(held_out)
    pool, check = held_out[: len(held_out) // 2], held_out[len(held_out) // 2 :]
    classes = rows["class"].to_numpy()
    targets = torch.from_numpy(classes[check]).to(device)
    groups = torch.from_numpy(np.unique(rows["group"].to_numpy(str)[check], return_inverse=True)[1]).to(device)
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
                worst = float(worst_group((head(features[check]).argmax(1) == targets)[:, None], groups))
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
