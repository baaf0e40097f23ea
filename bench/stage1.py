"""Stage 1's training against the bare step on ready batches, and against ImageFolder with a DataLoader.

    python bench/stage1.py --encoder resnet18 --images 512 --size 64

Three sides run in turns in one process, each an epoch of the same number of steps on the same network:

bare
    forward, cross-entropy, backward and step on one batch that is ready in memory: what no training can beat
ours
    `trainer.train_network` on the decoded images: reading, normalising, augmentation, loss and step
loader
    torchvision's ImageFolder with RandomResizedCrop and flip through a DataLoader with two workers, as PyTorch's
    examples do: it decodes in every epoch

Decoding once is reported apart. Prints medians of images a second by wall time and CPU seconds an epoch (of the
workers too).
"""

import argparse
import copy
import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from rows import Row, add

from fairdream.classification import classifier, trainer
from fairdream.config.models import EncoderModel
from fairdream.config.training import Augmentation, Training

DEVICE = torch.device("cpu")


def cpu() -> float:
    """Return CPU seconds of this process and of those that it waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def make_images(folder: Path, count: int, side: int) -> list[Path]:
    """Write JPEGs in a folder for each of two classes."""
    generator = np.random.default_rng(0)
    paths = []
    for number in range(count):
        path = folder / "ab"[number % 2] / f"{number:06d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        small = Image.fromarray(generator.integers(0, 255, (side // 8, side // 8, 3), np.uint8))
        small.resize((side, side), Image.Resampling.BICUBIC).save(path, quality=90)
        paths.append(path)
    return paths


def bare(network, batch: torch.Tensor, targets: torch.Tensor, steps: int, config: Training) -> None:
    """Run the bare step."""
    optimizer = trainer.optimizer_of(network.parameters(), config)
    network.train()
    for _ in range(steps):
        loss = F.cross_entropy(network.head(network.encoder(batch)), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def loader(network, folder: Path, size: int, config: Training) -> None:
    """Run an epoch as PyTorch's examples do."""
    from torchvision import datasets
    from torchvision.transforms import v2

    views = v2.Compose(
        [
            v2.RandomResizedCrop(size, scale=(0.7, 1.0), ratio=(1.0, 1.0)),
            v2.RandomHorizontalFlip(),
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(classifier.MEAN, classifier.STD),
        ]
    )
    images = torch.utils.data.DataLoader(
        datasets.ImageFolder(str(folder), views), config.batch_size, shuffle=True, num_workers=2, drop_last=True
    )
    optimizer = trainer.optimizer_of(network.parameters(), config)
    network.train()
    for inputs, targets in images:
        inputs = inputs.contiguous(memory_format=torch.channels_last)
        loss = F.cross_entropy(network.head(network.encoder(inputs)), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def main() -> None:
    """Run the sides in turns and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="resnet18")
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--side", type=int, default=224, help="of the JPEGs")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    config = Training(
        learning_rate=1e-3, weight_decay=1e-3, momentum=0.0, batch_size=options.batch, steps=1, epochs=None
    )
    augmentation = Augmentation(crop_scale=0.7, flip=True)
    steps = options.images // options.batch
    torch.manual_seed(0)
    network = classifier.build(EncoderModel(name=options.encoder, weights=None), None, 2)
    found: dict[str, list[tuple[float, float]]] = {"bare": [], "ours": [], "loader": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = make_images(folder / "images", options.images, options.side)
        wall, used = time.perf_counter(), cpu()
        pixels = classifier.decode(enumerate(paths), len(paths), options.size, name)
        decoding = time.perf_counter() - wall, cpu() - used
        targets = torch.arange(options.images) % 2
        batch = classifier.to_input(torch.from_numpy(pixels[: options.batch]), DEVICE)
        strata = np.zeros(options.images, np.int64)
        for _ in range(options.rounds):
            for side, times in found.items():
                own = copy.deepcopy(network)
                wall, used = time.perf_counter(), cpu()
                if side == "bare":
                    bare(own, batch, targets[: options.batch], steps, config)
                elif side == "ours":
                    drawn = classifier.balanced_batches(strata, options.batch, steps, np.random.default_rng(0), "ours")
                    loss = trainer.contrastive_loss(targets, 1.0, 1.0)
                    trainer.train_network(own, pixels, drawn, steps, loss, config, augmentation, DEVICE)
                else:
                    loader(own, folder / "images", options.size, config)
                times.append((time.perf_counter() - wall, cpu() - used))
    images = steps * options.batch
    print(f"{options.encoder}, {images} JPEGs of {options.side} px at {options.size} px, batches of {options.batch}, ")
    print(f"{options.threads} threads, {options.rounds} rounds; median (least, most)")
    for side, times in found.items():
        speeds = [images / wall for wall, _ in times]
        print(f"{side:7} {statistics.median(speeds):7.1f} images/s wall ({min(speeds):.1f}, {max(speeds):.1f})", end="")
        print(f"   {statistics.median(used for _, used in times):6.2f} CPU s an epoch")
    speed = {side: images / statistics.median(wall for wall, _ in times) for side, times in found.items()}
    peer = "ImageFolder, DataLoader of 2 workers"
    own = (speed["ours"], speed["loader"], peer, speed["bare"], "bare forward and backward")
    add(Row(f"stage 1, {options.encoder}", "images a second", *own, goal="90 % of limit"))
    for side in ("ours", "loader"):
        for number, kind in enumerate(("wall", "CPU")):
            of = [b[number] / o[number] for b, o in zip(found["bare"], found[side], strict=True)]
            print(f"{side} at {100 * statistics.median(of):.0f} % of bare by {kind} ({min(of):.2f}, {max(of):.2f})")
    print(
        f"decoding once: {decoding[0]:.2f} s, {decoding[1]:.2f} CPU s ({1000 * decoding[1] / images:.2f} ms CPU each)"
    )


if __name__ == "__main__":
    main()
