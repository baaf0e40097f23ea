"""The training loop of whole networks, shared by stage 1 and by the recipes of stage 2 that train everything."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

from fairdream.classification import classifier
from fairdream.classification.checkpoint import Checkpoint
from fairdream.classification.losses import stage_loss
from fairdream.config.training import Augmentation, Training
from fairdream.data.pixels import Pixels, feed
from fairdream.errors import UserError
from fairdream.runtime.job import stop_asked

if TYPE_CHECKING:
    import numpy as np
    import torch

LOOK_EVERY = 100  # steps between two looks at the loss, each a wait for the device


@dataclass
class Loss:
    """What a step minimises.

    Attributes
    ----------
    of
        (logits (b, c), features (b, d), rows of the batch (b,)) -> loss.
    state
        Tensors that it changes in place from step to step.
    """

    of: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
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

    from fairdream.classification.group_dro import GroupDRO

    _, indices, counts = np.unique(groups, return_inverse=True, return_counts=True)
    robust = GroupDRO(torch.from_numpy(counts).to(device), step_size, adjustment)
    numbers = torch.from_numpy(indices).to(device)

    def loss(logits: torch.Tensor, features: torch.Tensor, batch: torch.Tensor) -> torch.Tensor:
        return robust(F.cross_entropy(logits, targets[batch], reduction="none"), numbers[batch])

    return Loss(loss, {"weights": robust.weights})


def optimizer_of(parameters: Iterable[Any], config: Training) -> torch.optim.Optimizer:
    """Return the configured optimiser."""
    import torch

    if config.optimizer == "adam":
        return torch.optim.Adam(parameters, lr=config.learning_rate, weight_decay=config.weight_decay)
    return torch.optim.SGD(
        parameters, lr=config.learning_rate, momentum=config.momentum, weight_decay=config.weight_decay
    )


def train_network(
    network: classifier.Network,
    pixels: Pixels,
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
        The images, as `classifier.decode` gives them.
    batches
        `steps` arrays of rows of `pixels`.
    keep_at
        Number of steps done -> name of the copy.
    checkpoint
        Gone on from, where it has a state; saved now and then, and when the job is asked to end. A training that was
        saved on its way is saved at its end too, so that no later failure of its job costs it.

    Raises
    ------
    UserError
        When the loss or a weight is NaN or infinite, or the job was asked to end before its end.
    """
    optimizer = optimizer_of(network.parameters(), config)
    network.train()
    kept: dict[str, dict[str, torch.Tensor]] = {}
    start, saved = 0, False
    if checkpoint and (found := checkpoint.load()):
        start, state = found
        _restore(state, network, optimizer, loss, kept)
    with stop_asked() as stopping:
        for step, (batch, values) in enumerate(feed(pixels, islice(batches, start, None), device), start):
            if config.schedule == "cosine":
                _anneal(optimizer, config.learning_rate, step / steps)
            last = _update(network, optimizer, loss, augment(classifier.to_input(values, device), augmentation), batch)
            done = step + 1
            if keep_at and done in keep_at:
                kept[keep_at[done]] = {key: tensor.clone() for key, tensor in network.state_dict().items()}
            asked = stopping() and done < steps
            save = checkpoint and (asked or checkpoint.due() if done < steps else saved)
            # the only waits for the device; a training that has diverged is neither gone on with nor saved
            if (save or done % LOOK_EVERY == 0 or done == steps) and not math.isfinite(float(last)):
                raise UserError(f"the loss is {float(last)} at step {done}; lower learning_rate")
            if checkpoint and save:
                saved = True
                checkpoint.save(done, _state(network, optimizer, loss, kept))
            if asked:
                where = f"; saved at step {done}, from which the next attempt resumes" if checkpoint else ""
                raise UserError(f"asked to stop{where}")
    if not all(bool(value.isfinite().all()) for value in network.parameters()):
        raise UserError("the weights are not finite at the end; lower learning_rate")
    return kept


def _anneal(optimizer: torch.optim.Optimizer, rate: float, done: float) -> None:
    """Set the rate on half a cosine from `rate` down to 0; `done` is the share of the steps behind it."""
    for group in optimizer.param_groups:
        group["lr"] = rate * (1 + math.cos(math.pi * done)) / 2


def _update(
    network: classifier.Network, optimizer: torch.optim.Optimizer, loss: Loss, inputs: torch.Tensor, batch: torch.Tensor
) -> torch.Tensor:
    """Take one step on `inputs` (b, 3, h, w), rows `batch` (b,) of the training images; return the loss."""
    features = network.encoder(inputs)  # (b, d)
    value = loss.of(network.head(features), features, batch)
    optimizer.zero_grad(set_to_none=True)
    value.backward()
    optimizer.step()
    return value.detach()


def _state(
    network: classifier.Network,
    optimizer: torch.optim.Optimizer,
    loss: Loss,
    kept: Mapping[str, Mapping[str, torch.Tensor]],
) -> dict[str, torch.Tensor]:
    """Return all that the next step hangs on, by name."""
    import torch

    state = {f"network/{key}": value for key, value in network.state_dict().items()}
    for number, parameter in enumerate(network.parameters()):
        moments = optimizer.state[parameter].items()
        state |= {f"optimizer/{number}/{key}": value for key, value in moments if value is not None}
    state |= {f"loss/{key}": value for key, value in loss.state.items()}
    state |= {f"kept/{name}/{key}": value for name, copy in kept.items() for key, value in copy.items()}
    return state | {"random": torch.get_rng_state()}


def _restore(
    state: Mapping[str, torch.Tensor],
    network: classifier.Network,
    optimizer: torch.optim.Optimizer,
    loss: Loss,
    kept: dict[str, dict[str, torch.Tensor]],
) -> None:
    """Put back what `_state` gave."""
    import torch

    def below(prefix: str) -> dict[str, torch.Tensor]:
        return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}

    network.load_state_dict(below("network/"))
    for number, parameter in enumerate(network.parameters()):
        for key, value in below(f"optimizer/{number}/").items():
            # a moment lies on the parameter's device, as it does in memory; a count of steps stays on the CPU
            same = value.shape == parameter.shape
            optimizer.state[parameter][key] = torch.empty_like(parameter).copy_(value) if same else value
    for key, value in loss.state.items():
        value.copy_(state[f"loss/{key}"])
    for name, value in below("kept/").items():
        copy, _, key = name.partition("/")
        kept.setdefault(copy, {})[key] = value
    torch.set_rng_state(state["random"])


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
    # random numbers are the CPU's on every device; what goes over are 24 bytes per image, not its grid
    theta = torch.zeros(count, 2, 3, pin_memory=device.type == "cuda")
    theta[:, 0, 0], theta[:, 1, 1], theta[:, :, 2] = scale * flip, scale, shift
    grid = F.affine_grid(theta.to(device, non_blocking=True), list(inputs.shape), align_corners=False)
    views = F.grid_sample(inputs, grid, padding_mode="reflection", align_corners=False)
    return views.contiguous(memory_format=torch.channels_last)
