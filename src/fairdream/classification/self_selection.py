"""SELF: which held-out images to re-train the last layer on, without group labels (LaBonte et al. 2023).

Every score is high where a biased classifier is unsure of itself; the highest ones are taken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
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
