"""Stage 1: encoder and last layer, trained on the selected synthetic images or on the real training set."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fairdream.classification import classifier
from fairdream.classification.checkpoint import Checkpoint
from fairdream.classification.trainer import Loss, contrastive_loss, group_dro_loss, train_network
from fairdream.config.baselines import GroupDroValues, JttValues
from fairdream.config.models import EncoderModel
from fairdream.config.pretrain import PretrainValues
from fairdream.data.groups import label_of
from fairdream.data.images import iter_pngs
from fairdream.data.pixels import Pixels
from fairdream.errors import UserError
from fairdream.identity import digest, file_digest, seed_of
from fairdream.models.device import allow_tf32, best_device
from fairdream.models.weights import model_identity
from fairdream.runtime.job import LOGGER

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import torch

# Endings of the checkpoints, of JTT's first training and of the one that counts.
PARTS = ("first-checkpoint", "checkpoint")


class PretrainJob(PretrainValues):
    """What stage 1 needs beside the images."""

    encoder: EncoderModel
    labels: list[str]
    batches: Literal["group", "class", "all"]
    checkpoints: list[float]
    gdro: GroupDroValues | None
    jtt: JttValues | None


def pretrain(
    selected: str | None, split: str | None, weights: str, stage1: str, seed: int, code: str, config: PretrainJob
) -> None:
    """Train a classifier from the encoder's initial weights.

    Parameters
    ----------
    selected
        The selection of synthetic images, or
    split
        the real training set.
    weights
        Manifest of the encoder's initial weights.
    stage1
        Output: the weights, with labels and image size in the header.
    seed
        Of the last layer (and of a random encoder), the order and the augmentation.
    code
        Digest of the code that trains: other code does not go on from a checkpoint.
    """
    import numpy as np
    import torch

    sources, groups = _images(selected, split)
    count = len(groups)
    labels = np.array([config.labels.index(label_of(group)) for group in groups])
    strata = {"group": groups, "class": labels, "all": np.zeros(count, np.int64)}[config.batches]
    device = best_device()
    allow_tf32(device)
    targets = torch.from_numpy(labels).to(device)
    loss = (
        group_dro_loss(targets, groups, config.gdro.step_size, config.gdro.adjustment, device)
        if config.gdro
        else contrastive_loss(targets, config.beta, config.temperature)
    )
    steps = classifier.length(config, count)
    LOGGER.info("%d images, %d steps of %s", count, steps, config.optimizer)
    with tempfile.TemporaryDirectory() as folder:
        pixels = classifier.decode(sources, count, config.image_size, folder)
        identity = digest([config.model_dump(), seed, code, model_identity(weights), _made_of(selected, split)])
        saves = [Checkpoint(Path(stage1).with_suffix(f".{part}"), identity) for part in PARTS]
        if config.jtt:
            first = max(1, round(config.jtt.first * steps))
            network, _ = _train(pixels, strata, first, loss, seed, weights, device, config, saves[0], "First training")
            wrong = (classifier.predict(network, pixels, device).argmax(1) != targets).cpu().numpy()
            # appended to the whole set, as by the authors: a mistake is seen 1 + upweight times an epoch
            repeated = np.repeat(np.arange(count), 1 + config.jtt.upweight * wrong)
            steps = classifier.length(config, len(repeated))
            LOGGER.info("%d mistakes, %d images with copies, %d steps", wrong.sum(), len(repeated), steps)
        else:
            repeated = None
        network, kept = _train(
            pixels, strata, steps, loss, seed, weights, device, config, saves[1], "Stage 1", repeated
        )
    classifier.save(network, stage1, config.labels, config.image_size, kept)
    for save in saves:
        save.remove()


def _images(selected: str | None, split: str | None) -> tuple[Iterable[tuple[int, Any]], np.ndarray]:
    """Return the row and the path or encoded bytes of each image, and the groups (n,)."""
    import pandas as pd

    if selected is not None:
        chosen = pd.read_parquet(selected)
        return _pngs(chosen), chosen["group"].to_numpy(str)
    rows = pd.read_parquet(split)
    rows = rows[rows["split"] == "train"]
    paths = [Path(folder, path) for folder, path in zip(rows["folder"], rows["path"], strict=True)]
    return enumerate(paths), rows["group"].to_numpy(str)


def _pngs(chosen: pd.DataFrame) -> Iterator[tuple[int, bytes]]:
    """Yield row and PNG of the chosen images, shard by shard: those of all would not fit into memory."""
    for shard, rows in chosen["id"].groupby(chosen["shard"], sort=False):
        row_of = {name: row for row, name in rows.items()}
        for name, png in iter_pngs(shard):
            if name in row_of:
                yield row_of.pop(name), png
        if row_of:
            raise UserError(f"{shard}: image {min(row_of)} was selected and is not there")


def _made_of(selected: str | None, split: str | None) -> list[Any]:
    """Return what tells the images from others without reading them all: a list with hashes, or shards as they lie."""
    import pandas as pd

    if selected is None:
        assert split
        return [file_digest(split)]
    shards = {shard: Path(shard).stat() for shard in sorted(pd.read_parquet(selected)["shard"].unique())}
    return [file_digest(selected), *([path, of.st_size, of.st_mtime_ns] for path, of in shards.items())]


def _train(
    pixels: Pixels,
    strata: np.ndarray,
    steps: int,
    loss: Loss,
    seed: int,
    weights: str,
    device: torch.device,
    config: PretrainJob,
    checkpoint: Checkpoint,
    what: str,
    repeated: np.ndarray | None = None,
) -> tuple[classifier.Network, dict[str, dict[str, torch.Tensor]]]:
    """Train from the initial weights; `repeated` (m,) are the images with repetitions, where some count more often."""
    import numpy as np
    import torch

    # names, not the method: every method starts from the same weights
    torch.manual_seed(seed_of("classifier", seed))
    network = classifier.build(config.encoder, weights, len(config.labels)).to(device)
    generator = np.random.default_rng(seed_of("stage 1", seed))
    if repeated is None:
        repeated = np.arange(len(strata))
    batches = (
        np.sort(repeated[batch])
        for batch in classifier.balanced_batches(strata[repeated], config.batch_size, steps, generator, what)
    )
    keep_at = {max(1, round(share * steps)): f"early{number}" for number, share in enumerate(config.checkpoints)}
    return network, train_network(network, pixels, batches, steps, loss, config, config, device, keep_at, checkpoint)
