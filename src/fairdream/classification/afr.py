"""AFR: a last layer for what ERM is unsure of, on training images that it has not seen (Qiu et al. 2023).

Automatic Feature Reweighting. Beyond the paper's rows.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from fairdream.classification.last_layer import Images, worst_group
from fairdream.config.baselines import AfrFit
from fairdream.runtime.job import LOGGER, progress

if TYPE_CHECKING:
    import torch

# Largest norm of a gradient, as in the authors' runs.
MAX_NORM = 1.0


def image_weights(probabilities: torch.Tensor, classes: torch.Tensor, gammas: torch.Tensor) -> torch.Tensor:
    """Return mu (n, r): proportional to exp(-gamma p_i) / n_y, with a sum of 1 for each of r gammas (eq. 2).

    Parameters
    ----------
    probabilities
        (n,) p_i, what ERM gives the image's own class.
    classes
        (n,) y_i; n_y counts the images of a class.
    gammas
        (r,); 0: classes alone are balanced.
    """
    import torch

    weights = torch.exp(-probabilities[:, None] * gammas) / torch.bincount(classes)[classes, None]
    return weights / weights.sum(dim=0)


def fit(
    weight: torch.Tensor, bias: torch.Tensor, images: Images, held_out: Images, config: AfrFit
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the weight (c, d) and bias (c,) of the last layer whose worst held-out group does best.

    For each gamma and lambda, plain gradient descent from ERM's layer w_0 on sum_i mu_i CE_i + lambda |w - w_0|^2, over
    all images at once. Gamma, lambda and the number of steps are those of the highest worst-group accuracy on the
    held-out images: of equals, the first gamma and lambda and the fewest steps.

    Parameters
    ----------
    weight, bias
        ERM's, float64.
    images
        Training images that ERM has not seen; their groups are not used.
    held_out
        Validation images.
    """
    import torch
    import torch.nn.functional as F

    def logits(theta: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
        """Return (n, r, c) of r layers (r, c, d + 1): all of them in one product."""
        return (inputs @ theta.flatten(0, 1).T).unflatten(1, theta.shape[:2])

    runs = torch.tensor(list(itertools.product(config.gammas, config.penalties)), dtype=weight.dtype)
    gammas, penalties = runs.to(weight.device).T
    start = torch.cat([weight, bias[:, None]], dim=1)  # (c, d + 1)
    inputs, checked = (F.pad(own.features, (0, 1), value=1.0) for own in (images, held_out))
    probabilities = (inputs @ start.T).softmax(1).gather(1, images.classes[:, None])[:, 0]
    mu = image_weights(probabilities, images.classes, gammas)  # (n, r)
    targets = images.classes[:, None].expand(-1, len(runs))
    theta = start.repeat(len(runs), 1, 1)
    best, best_theta, best_step = torch.full_like(gammas, -1.0), theta, torch.zeros_like(gammas)
    for step in progress(range(1, config.steps + 1), "AFR"):
        leaf = theta.detach().requires_grad_()
        losses = F.cross_entropy(logits(leaf, inputs).movedim(2, 1), targets, reduction="none")  # (n, r)
        loss = (mu * losses).sum(0) + penalties * (leaf - start).square().sum((1, 2))
        (gradient,) = torch.autograd.grad(loss.sum(), leaf)
        norm = gradient.norm(dim=(1, 2), keepdim=True)
        theta = theta - config.learning_rate * gradient / (norm / MAX_NORM).clamp(min=1)
        worst = worst_group(logits(theta, checked).argmax(2) == held_out.classes[:, None], held_out.groups)
        better = worst > best
        best, best_step = torch.where(better, worst, best), torch.where(better, step, best_step)
        best_theta = torch.where(better[:, None, None], theta, best_theta)
    scores = best.tolist()
    chosen = scores.index(max(scores))
    told = (*runs[chosen].tolist(), int(best_step[chosen]), scores[chosen])
    LOGGER.info("AFR: gamma %g, lambda %g, %d steps: worst held-out group %.4f", *told)
    return best_theta[chosen, :, :-1], best_theta[chosen, :, -1]
