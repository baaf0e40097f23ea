"""Group-DRO: the loss of the group that does worst, with exponentiated group weights (Sagawa et al. 2020)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


class GroupDRO:
    """Online Group-DRO (Sagawa et al. 2020, algorithm 1).

    Each step multiplies the weight of a group by exp(step size * its loss) and normalises; the loss is the weighted
    sum over groups. A group that is not in the batch keeps its weight before normalisation and adds nothing.

    Parameters
    ----------
    counts
        (g,) training images of each group.
    step_size
        eta of the weights' update.
    adjustment
        C of the generalisation adjustment: C / sqrt(n_g) is added to a group's loss before the weights are updated, so
        small groups, whose training loss says least about their test loss, weigh more (section 3.3). 0: none.

    Attributes
    ----------
    weights
        (g,) q, the groups' weights, summing to one; changed in place.
    """

    def __init__(self, counts: torch.Tensor, step_size: float, adjustment: float = 0.0) -> None:
        import torch

        self.step_size = step_size
        self.offset = adjustment / counts.to(torch.get_default_dtype()).sqrt()
        self.weights = torch.full_like(self.offset, 1 / len(counts))

    def __call__(self, losses: torch.Tensor, groups: torch.Tensor) -> torch.Tensor:
        """Update the weights and return the loss of a batch.

        Parameters
        ----------
        losses
            (b,) the images' losses.
        groups
            (b,) the images' groups, 0..g-1.
        """
        import torch

        size = torch.zeros_like(self.weights, dtype=losses.dtype).index_add(0, groups, torch.ones_like(losses))
        means = torch.zeros_like(size).index_add(0, groups, losses) / size.clamp(min=1)  # (g,)
        adjusted = torch.where(size > 0, means + self.offset, 0.0)
        self.weights.mul_(torch.exp(self.step_size * adjusted.detach()))
        self.weights.div_(self.weights.sum())
        return (self.weights * adjusted).sum()
