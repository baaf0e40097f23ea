"""The classifier: an encoder with features (n, d) and a linear last layer; loading, saving and input pixels."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairdream.config.models import EncoderModel
from fairdream.config.training import Training
from fairdream.data.images import open_rgb
from fairdream.data.pixels import Pixels, feed
from fairdream.errors import UserError
from fairdream.models import tensor_files
from fairdream.models.weights import model_path
from fairdream.runtime.job import progress
from fairdream.runtime.prefetch import prefetch

if TYPE_CHECKING:
    import numpy as np
    import torch

    class Network(torch.nn.Module):
        """What `build` returns, for a type checker: torch is imported where it is used, so there is no such class."""

        encoder: torch.nn.Module
        head: torch.nn.Linear
        encoder_name: str


# ImageNet's channel statistics: what torchvision's weights expect, and as good as any others without weights.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def build(encoder: EncoderModel, weights: str | None, classes: int) -> Network:
    """Return a network with the attributes `encoder` (images to features) and `head` (features to logits).

    Random weights come from torch's global generator.

    Parameters
    ----------
    weights
        Manifest of the encoder's initial weights; ``None``: random ones.
    classes
        Number of labels.
    """
    import torch
    from torch import nn

    body: Any
    network: Any = nn.Module()
    if encoder.name == "small_cnn":
        body, width = _small_cnn(), 128
    else:
        import torchvision

        try:
            body = torchvision.models.get_model(encoder.name)
        except ValueError:
            raise UserError(f"models.encoder.name: torchvision has no model {encoder.name}") from None
        if encoder.weights is not None and weights is not None:
            body.load_state_dict(torch.load(model_path(weights), map_location="cpu", weights_only=True))
        if not isinstance(getattr(body, "fc", None), nn.Linear):
            raise UserError(f"models.encoder.name: {encoder.name} has no last layer `fc`; use a ResNet")
        width, body.fc = body.fc.in_features, nn.Identity()
    network.encoder, network.head = body, nn.Linear(width, classes)
    network.encoder_name = encoder.name
    # pixels in this order make convolutions about 1.6 times as fast on CPUs, and faster on tensor cores
    return network.to(memory_format=torch.channels_last)


def _small_cnn() -> torch.nn.Module:
    """Return an encoder for images of about 24 to 32 pixels with 128 features, small enough for two CPU cores."""
    from torch import nn

    def block(inputs: int, outputs: int, *pool: nn.Module) -> list[nn.Module]:
        convolution = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        # pooled before it is normalised: the same function family, and a quarter of the elements to go through
        return [convolution, *pool, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]

    return nn.Sequential(
        *block(3, 16, nn.MaxPool2d(2)),
        *block(16, 32, nn.MaxPool2d(2)),
        *block(32, 64, nn.MaxPool2d(2)),
        *block(64, 128),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )


def save(
    network: Network,
    path: str,
    labels: Sequence[str],
    image_size: int,
    checkpoints: Mapping[str, Mapping[str, torch.Tensor]] | None = None,
) -> None:
    """Write the weights with all that is needed to use them in the header.

    Parameters
    ----------
    checkpoints
        Earlier states by name, written beside the weights as ``name/key``.
    """
    header = {"labels": json.dumps(list(labels)), "encoder": network.encoder_name, "image_size": str(image_size)}
    states = {"": network.state_dict(), **{f"{name}/": state for name, state in (checkpoints or {}).items()}}
    tensors = {
        prefix + key: value.detach().cpu().contiguous()
        for prefix, state in states.items()
        for key, value in state.items()
    }
    tensor_files.save(tensors, path, header)


def load(path: str, checkpoint: str | None = None) -> tuple[Network, list[str], int]:
    """Return a saved network, or an earlier state of it by name, its labels and its image size."""
    from safetensors import safe_open

    prefix = f"{checkpoint}/" if checkpoint else ""
    with safe_open(path, "pt") as file:
        header = file.metadata()
        names = [key for key in file.keys() if key.startswith(prefix) and ("/" in key) == bool(prefix)]  # noqa: SIM118
        tensors = {key.removeprefix(prefix): file.get_tensor(key) for key in names}
    labels = json.loads(header["labels"])
    network = build(EncoderModel(name=header["encoder"], weights=None), None, len(labels))
    network.load_state_dict(tensors)
    return network, labels, int(header["image_size"])


def checkpoints(path: str) -> list[str]:
    """Return the names of the earlier states in a saved network."""
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        return sorted({key.split("/")[0] for key in file.keys() if "/" in key})  # noqa: SIM118 (not a dict)


def encode(network: Network, pixels: Pixels, device: torch.device) -> torch.Tensor:
    """Return the penultimate features (n, d) of images, the network in eval mode."""
    import numpy as np
    import torch

    network.eval()
    # made outside inference mode, whose tensors cannot enter autograd, and filled in place: never there twice
    features = torch.empty(len(pixels), network.head.in_features, device=device)
    with torch.inference_mode():
        starts = progress(range(0, len(pixels), 256), "Encoding batches")
        batches = (np.arange(start, min(start + 256, len(pixels))) for start in starts)
        for rows, values in feed(pixels, batches, device):
            features[rows] = network.encoder(to_input(values, device))
    return features


def predict(network: Network, pixels: Pixels, device: torch.device) -> torch.Tensor:
    """Return the logits (n, c) of images, the network in eval mode."""
    import torch

    with torch.no_grad():
        return network.head(encode(network, pixels, device))


def decode(sources: Iterable[tuple[int, Any]], count: int, image_size: int, folder: str) -> Pixels:
    """Decode images once into a file of bytes, so that memory stays free.

    Parameters
    ----------
    sources
        Row, and path or encoded bytes, of each image; taken as they are needed.
    count
        Number of images.
    image_size
        Pixels a side: the shorter side is resized, the centre cropped.
    folder
        A scratch folder of this job.
    """
    import numpy as np
    import torch
    from PIL import Image

    pixels = Pixels(Path(folder, "pixels"), count, image_size)

    def one(item: tuple[int, Any]) -> None:
        row, source = item
        image = open_rgb(source)
        scale = image_size / min(image.size)
        if scale != 1:
            size = [max(image_size, round(side * scale)) for side in image.size]
            image = image.resize(size, Image.Resampling.BILINEAR)
        left, top = ((side - image_size) // 2 for side in image.size)
        image = image.crop((left, top, left + image_size, top + image_size))
        pixels[row] = np.asarray(image).transpose(2, 0, 1)

    # twice the job's threads: some wait for the file system
    workers = 2 * torch.get_num_threads()
    decoded = prefetch(one, sources, workers, depth=8 * workers)
    for _ in zip(progress(range(count), "Decoding images"), decoded, strict=True):
        pass
    return pixels


def to_input(values: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Return bytes (b, 3, h, w) on the device as the network's normalised input."""
    import torch

    mean, std = _statistics(device)
    return values.contiguous(memory_format=torch.channels_last).float().div_(255).sub_(mean).div_(std)


@cache
def _statistics(device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Return `MEAN` and `STD` on the device; a copy in each step would make the host wait for the step."""
    import torch

    mean, std = (torch.tensor(x, device=device).view(1, 3, 1, 1) for x in (MEAN, STD))
    return mean, std


def length(training: Training, images: int) -> int:
    """Return the number of steps: as configured, or epochs times the batches of an epoch."""
    if training.steps is not None:
        return training.steps
    assert training.epochs is not None
    return training.epochs * max(1, images // training.batch_size)


def balanced_batches(
    strata: np.ndarray, batch_size: int, steps: int, generator: np.random.Generator, what: str
) -> Iterator[np.ndarray]:
    """Yield indices of batches that take each stratum equally often.

    Each stratum is gone through in a new random order whenever it is used up, so no image is left out by chance.

    Parameters
    ----------
    strata
        (n,) the class, group or other part of each image; one value for all is plain shuffling.
    """
    import numpy as np

    names = np.unique(strata)
    members = [np.flatnonzero(strata == name) for name in names]
    queues = [np.empty(0, np.int64) for _ in names]
    turn = 0
    for _ in progress(range(steps), what):
        batch = []
        # the turn runs on across batches, so that sizes which do not divide the batch balance out too
        share = np.bincount((turn + np.arange(batch_size)) % len(names), minlength=len(names))
        turn += batch_size
        for number, count in enumerate(share):
            while len(queues[number]) < count:
                queues[number] = np.concatenate([queues[number], generator.permutation(members[number])])
            batch.append(queues[number][:count])
            queues[number] = queues[number][count:]
        yield np.sort(np.concatenate(batch))  # sorted: reads of the array on disk go forward
