"""The losses of both stages."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def supervised_contrastive(features: torch.Tensor, labels: torch.Tensor, temperature: float) -> torch.Tensor:
    """Return the supervised contrastive loss of one view per image.

    Khosla et al. 2020, eq. 2 (``L_out``): for each anchor the mean over its positives of the negative log-probability
    among all other images, averaged over the anchors that have a positive.

    Parameters
    ----------
    features
        (n, d), any length; they are normalised here.
    labels
        (n,) classes.
    temperature
        tau.
    """
    import torch
    import torch.nn.functional as F

    features = F.normalize(features, dim=1)
    similarity = features @ features.T / temperature  # (n, n)
    self_mask = torch.eye(len(labels), dtype=torch.bool, device=features.device)
    log_probability = similarity - similarity.masked_fill(self_mask, float("-inf")).logsumexp(dim=1, keepdim=True)
    positive = (labels[:, None] == labels[None, :]) & ~self_mask
    count = positive.sum(dim=1)
    per_anchor = -(log_probability * positive).sum(dim=1) / count.clamp(min=1)
    return per_anchor.sum() / (count > 0).sum().clamp(min=1)


def stage_loss(
    logits: torch.Tensor, features: torch.Tensor, labels: torch.Tensor, beta: float, temperature: float
) -> torch.Tensor:
    """Return beta * CE + (1 - beta) * SupCon on the penultimate features (paper, section 3.3)."""
    import torch.nn.functional as F

    loss = beta * F.cross_entropy(logits, labels)
    if beta < 1:
        loss = loss + (1 - beta) * supervised_contrastive(features, labels, temperature)
    return loss
