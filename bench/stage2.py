"""Stage 2 on features that are computed once, against the plain loop that runs the frozen encoder in every step.

    python bench/stage2.py --encoder resnet18 --images 512 --size 64 --epochs 20 --rounds 5

Both sides get the same decoded images, the same batches, no augmentation and the same initial last layer, run in turns
in one process, and end with the saved network. The plain loop is PyTorch as its documentation has it: the encoder in
eval mode under no_grad, cross-entropy, SGD, on tensors that are ready in memory. Prints the medians of wall and CPU
time, their ratio, the largest difference of the two last layers, and where our side's time goes.
"""

import argparse
import copy
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from rows import Row, add

from fairdream.classification import classifier
from fairdream.classification.last_layer import fit_last_layer
from fairdream.config.models import EncoderModel
from fairdream.config.retrain import RetrainValues
from fairdream.data.pixels import Pixels
from fairdream.identity import seed_of

DEVICE = torch.device("cpu")


def plain(network, pixels: torch.Tensor, classes: np.ndarray, config: RetrainValues, path: str) -> None:
    """Train the last layer with a full forward in every step."""
    network.eval()
    mean, std = (torch.tensor(x).view(1, 3, 1, 1) for x in (classifier.MEAN, classifier.STD))
    targets = torch.from_numpy(classes)
    optimizer = torch.optim.SGD(
        network.head.parameters(), lr=config.learning_rate, momentum=config.momentum, weight_decay=config.weight_decay
    )
    steps = classifier.length(config, len(classes))
    generator = np.random.default_rng(seed_of("stage 2", 0))
    for batch in classifier.balanced_batches(classes, config.batch_size, steps, generator, "plain"):
        inputs = (pixels[batch].contiguous(memory_format=torch.channels_last).float() / 255 - mean) / std
        with torch.no_grad():
            features = network.encoder(inputs)
        loss = config.beta * F.cross_entropy(network.head(features), targets[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    classifier.save(network, path, ["a", "b"], pixels.shape[-1])


def ours(network, pixels: Pixels, classes: np.ndarray, config: RetrainValues, path: str) -> dict[str, float]:
    """Train the last layer as stage 2 does; return the seconds of its parts."""
    marks = [time.perf_counter()]
    features = classifier.encode(network, pixels, DEVICE)
    marks.append(time.perf_counter())
    fit_last_layer(network.head, features, classes, 0, config, config.beta)
    marks.append(time.perf_counter())
    classifier.save(network, path, ["a", "b"], pixels.shape[-1])
    marks.append(time.perf_counter())
    return dict(zip(("encode", "fit", "save"), np.diff(marks).tolist(), strict=True))


def main() -> None:
    """Run both sides in turns and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="resnet18")
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    config = RetrainValues(
        learning_rate=0.01, weight_decay=1e-3, momentum=0.0, batch_size=options.batch, epochs=options.epochs, beta=0.5
    )
    generator = np.random.default_rng(0)
    classes = (np.arange(options.images) % 2).astype(np.int64)
    torch.manual_seed(0)
    network = classifier.build(EncoderModel(name=options.encoder, weights=None), None, 2)
    seconds: dict[str, list[tuple[float, float]]] = {"plain": [], "ours": []}
    parts: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        pixels = Pixels(Path(folder, "pixels"), options.images, options.size)
        for row in range(options.images):
            pixels[row] = generator.integers(0, 256, (3, options.size, options.size), np.uint8)
        ready = torch.from_numpy(pixels[:])
        for _ in range(options.rounds):
            heads = {}
            for side in seconds:
                own = copy.deepcopy(network)
                wall, cpu = time.perf_counter(), time.process_time()
                if side == "plain":
                    plain(own, ready, classes, config, f"{folder}/plain.safetensors")
                else:
                    parts.append(ours(own, pixels, classes, config, f"{folder}/ours.safetensors"))
                seconds[side].append((time.perf_counter() - wall, time.process_time() - cpu))
                heads[side] = torch.cat([own.head.weight.flatten(), own.head.bias]).detach()
            difference = float((heads["plain"] - heads["ours"]).norm() / heads["plain"].norm())
            assert not torch.equal(heads["ours"], torch.cat([network.head.weight.flatten(), network.head.bias]))
    print(f"{options.encoder}, {options.images} images of {options.size} px, {options.epochs} epochs, ", end="")
    print(f"{options.threads} threads, {options.rounds} rounds; median (least, most) seconds")
    for side, times in seconds.items():
        for kind, column in zip(("wall", "CPU"), zip(*times, strict=True), strict=True):
            print(f"{side:6} {kind:5} {statistics.median(column):8.2f} ({min(column):.2f}, {max(column):.2f})")
    for number, kind in enumerate(("wall", "CPU")):
        of = [p[number] / o[number] for p, o in zip(seconds["plain"], seconds["ours"], strict=True)]
        print(f"ratio  {kind:5} {statistics.median(of):8.2f} ({min(of):.2f}, {max(of):.2f}); bound {options.epochs}")
    rate = {side: options.epochs / statistics.median(wall for wall, _ in own) for side, own in seconds.items()}
    limit = (options.epochs * rate["plain"], "one forward of the data")
    own = (rate["ours"], rate["plain"], "a full forward every step", *limit)
    add(Row(f"stage 2, {options.epochs} epochs, {options.encoder}", "epochs a second", *own, goal="15 times"))
    print("ours, wall:", ", ".join(f"{name} {statistics.median(p[name] for p in parts):.3f} s" for name in parts[0]))
    print(f"relative difference of the last layers: {difference:.1e}")


if __name__ == "__main__":
    main()
