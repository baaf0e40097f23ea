"""The training loop of whole networks, shared by stage 1 and by the recipes of stage 2 that train everything."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from fairdream import classifier
from fairdream.checkpoint import Checkpoint
from fairdream.config import Augmentation, Training
from fairdream.errors import UserError
from fairdream.losses import stage_loss

if TYPE_CHECKING:
    import numpy as np
    import torch


@dataclass
class Loss:
    """What a step minimises.

    Attributes
    ----------
    of
        (logits (b, c), features (b, d), indices of the batch (b,)) -> loss.
    state
        Tensors that it changes in place from step to step.
    """

    of: Callable[[torch.Tensor, torch.Tensor, np.ndarray], torch.Tensor]
    state: dict[str, torch.Tensor] = field(default_factory=dict)


def contrastive_loss(targets: torch.Tensor, beta: float, temperature: float) -> Loss:
    """Return the loss of the paper: beta * CE + (1 - beta) * SupCon; `targets` (n,) are all images' classes."""
    return Loss(lambda logits, features, batch: stage_loss(logits, features, targets[batch], beta, temperature))


def group_dro_loss(
    targets: torch.Tensor, groups: np.ndarray, step_size: float, adjustment: float, device: torch.device
) -> Loss:
    """Return Group-DRO's loss; `targets` and `groups` (n,) are all images'."""
    import numpy as np
    import torch
    import torch.nn.functional as F

    from fairdream.groupdro import GroupDRO

    _, numbers, counts = np.unique(groups, return_inverse=True, return_counts=True)
    robust = GroupDRO(torch.from_numpy(counts).to(device), step_size, adjustment)
    numbers = torch.from_numpy(numbers).to(device)

    def loss(logits: torch.Tensor, features: torch.Tensor, batch: np.ndarray) -> torch.Tensor:
        return robust(F.cross_entropy(logits, targets[batch], reduction="none"), numbers[batch])

    return Loss(loss, {"weights": robust.weights})


def optimizer_of(parameters: Iterable, config: Training) -> torch.optim.Optimizer:
    """Return the configured optimiser."""
    import torch

    if config.optimizer == "adam":
        return torch.optim.Adam(parameters, lr=config.learning_rate, weight_decay=config.weight_decay)
    return torch.optim.SGD(
        parameters, lr=config.learning_rate, momentum=config.momentum, weight_decay=config.weight_decay
    )


def train_network(
    network: torch.nn.Module,
    pixels: np.ndarray,
    batches: Iterable[np.ndarray],
    steps: int,
    loss: Loss,
    config: Training,
    augmentation: Augmentation,
    device: torch.device,
    keep_at: Mapping[int, str] | None = None,
    checkpoint: Checkpoint | None = None,
) -> dict[str, dict[str, torch.Tensor]]:
    """Train encoder and last layer in place; return copies of the weights at the asked steps.

    Parameters
    ----------
    pixels
        (n, 3, h, w) bytes, as `classifier.decode` gives them.
    batches
        `steps` arrays of indices into `pixels`.
    keep_at
        Number of steps done -> name of the copy.
    checkpoint
        Gone on from, where it has a state; saved now and then, and when the job is asked to end. A training that was
        saved on its way is saved at its end too, so that no later failure of its job costs it.

    Raises
    ------
    UserError
        When the loss is NaN or infinite at the end, or the job was asked to end before.
    """
    import torch

    optimizer = optimizer_of(network.parameters(), config)
    network.train()
    start, kept, last = 0, {}, 0.0
    state = checkpoint.load() if checkpoint else None
    if state:
        start, kept = state["step"], state["kept"]
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        for name, tensor in loss.state.items():
            tensor.copy_(state["loss"][name])
        torch.set_rng_state(state["random"])
    saved = False
    for step, batch in enumerate(islice(batches, start, None), start):
        if config.schedule == "cosine":
            for group in optimizer.param_groups:
                group["lr"] = config.learning_rate * (1 + math.cos(math.pi * step / steps)) / 2
        inputs = augment(classifier.to_input(pixels[batch], device), augmentation)
        features = network.encoder(inputs)  # (b, d)
        value = loss.of(network.head(features), features, batch)
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        optimizer.step()
        if keep_at and step + 1 in keep_at:
            kept[keep_at[step + 1]] = {key: tensor.clone() for key, tensor in network.state_dict().items()}
        last = value.detach()
        done = step + 1
        if checkpoint and (checkpoint.due() if done < steps else saved):
            saved = True
            checkpoint.save(
                {
                    "step": done,
                    "network": network.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "loss": loss.state,
                    "random": torch.get_rng_state(),
                    "kept": kept,
                }
            )
            if done < steps and checkpoint.stopping():
                raise UserError(f"asked to stop; saved at step {done}, where the next attempt goes on")
    if steps and not math.isfinite(float(last)):
        raise UserError(f"the loss is {float(last)} at the end; lower learning_rate")
    return kept


def augment(inputs: torch.Tensor, config: Augmentation) -> torch.Tensor:
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
    views = F.grid_sample(inputs, grid, padding_mode="reflection", align_corners=False)
    return views.contiguous(memory_format=torch.channels_last)
