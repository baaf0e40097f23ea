"""HSFM: a last layer fitted to features that are moved until it does well on hard held-out images (arXiv 2603.29313).

Hard-Set-Guided Feature-Space Meta-Learning. Beyond the paper's rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fairdream.classification.last_layer import Images, worst_group
from fairdream.classification.self_selection import highest, misclassification
from fairdream.config.baselines import HsfmValues
from fairdream.runtime.job import LOGGER, progress

if TYPE_CHECKING:
    import torch

# Largest norm of the features' gradient, as in the authors' runs.
MAX_NORM = 10.0


def hard_set(losses: torch.Tensor, classes: torch.Tensor, count: int) -> torch.Tensor:
    """Return the positions of the `count` images of each class with the highest losses (n,)."""
    import torch

    own = [(classes == number).nonzero()[:, 0] for number in classes.unique()]
    return torch.cat([positions[highest(losses[positions], count)] for positions in own])


def adapt(
    layer: Sequence[torch.Tensor], features: torch.Tensor, classes: torch.Tensor, rate: float, steps: int
) -> list[torch.Tensor]:
    """Return weight and bias after steps of plain gradient descent on the features' CE, differentiable in the features.

    Parameters
    ----------
    layer
        Weight (c, d) and bias (c,) to start from.
    features, classes
        (n, d) and (n,).
    """
    import torch
    import torch.nn.functional as F

    theta = [value.detach().requires_grad_() for value in layer]
    for _ in range(steps):
        loss = F.cross_entropy(F.linear(features, *theta), classes)
        gradients = torch.autograd.grad(loss, theta, create_graph=True)
        theta = [value - rate * gradient for value, gradient in zip(theta, gradients, strict=True)]
    return theta


def fit(
    weight: torch.Tensor, bias: torch.Tensor, support: Images, pool: Images, held_out: Images, config: HsfmValues
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the weight (c, d) and bias (c,) of the epoch whose worst held-out group does best; of equals, the last.

    In each epoch the images of `pool` that the layer finds hardest are chosen. The features of `support` are moved so
    that a layer adapted to them does well on those; then the layer itself is trained on the moved features.

    Parameters
    ----------
    weight, bias
        ERM's, float64.
    support
        Training images, as many of each class; their groups are not used.
    pool
        Validation images that hard ones are chosen from; their groups are not used.
    held_out
        Other validation images, which choose the epoch.
    """
    import torch
    import torch.nn.functional as F

    layer = [value.detach().clone().requires_grad_() for value in (weight, bias)]
    features = support.features.clone().requires_grad_()
    layer_steps = torch.optim.Adam(layer, lr=config.inner_rate)
    feature_steps = torch.optim.Adam([features], lr=config.outer_rate)
    best, kept, chosen = -1.0, layer, 0
    for epoch in progress(range(1, config.epochs + 1), "HSFM"):
        hard = hard_set(
            misclassification(F.linear(pool.features, *layer), pool.classes).detach(), pool.classes, config.hard_images
        )
        for _ in range(config.updates):
            adapted = adapt(layer, features, support.classes, config.inner_rate, config.inner_steps)
            loss = F.cross_entropy(F.linear(pool.features[hard], *adapted), pool.classes[hard])
            (features.grad,) = torch.autograd.grad(loss, features)
            torch.nn.utils.clip_grad_norm_(features, MAX_NORM)
            feature_steps.step()
        for _ in range(config.inner_steps):
            layer_steps.zero_grad()
            F.cross_entropy(F.linear(features.detach(), *layer), support.classes).backward()
            layer_steps.step()
        right = F.linear(held_out.features, *layer).argmax(1) == held_out.classes
        worst = float(worst_group(right[:, None], held_out.groups))
        if worst >= best:
            best, chosen, kept = worst, epoch, [value.detach().clone() for value in layer]
    LOGGER.info("HSFM: epoch %d of %d: worst held-out group %.4f", chosen, config.epochs, best)
    return kept[0], kept[1]
