"""Judge whether images of the demo show what was asked for, and how far they are from real waterdigits.

A judge network is trained on group-balanced real waterdigits (the digits of the train and validation splits, each on
both backgrounds) and on as many rendered digits as tiny-sd learnt from, so that it reads both styles: one trained on
real images alone misreads renders of known content, above all in dark ink. What it makes of unseen images of both
kinds is printed first. It then gives, for a folder of images or for a pipeline, one line per group:

- the share of images in which it sees the asked class and the asked background;
- the kernel distance (KID, Bińkowski et al. 2018: unbiased, cubic kernel) between its penultimate features of these
  images and of the real test images of the group. Two disjoint halves of the real ones are about 0 apart.

    python bench/judge.py --real data/waterdigits --pipeline resources/tiny-sd
    python bench/judge.py --real data/waterdigits --images even-land=some/folder --images odd-land=some/shard.parquet

The judge sees what separates parities and backgrounds, hence the kernel distance measures style only as far as that
depends on it. Numbers of different judges (seeds) are not comparable.
"""

import argparse
import csv
import io
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from fairdream.demo.rendered import draw_many
from fairdream.demo.waterdigits import ATTRIBUTES, LABELS, compose

RENDERED_SEED = 1_000  # neither tiny-sd's nor tiny-clip's
GROUPS = [(label, attribute) for label in LABELS for attribute in ATTRIBUTES]


def to_tensor(pictures: list[np.ndarray]) -> torch.Tensor:
    """Stack uint8 pictures into floats in -1..1 of shape (pictures, 3, 32, 32)."""
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1


def read(folder: Path) -> torch.Tensor:
    """Read PNG files of a folder, or the rows of a Parquet file or of a folder of them."""
    shards = [folder] if folder.suffix == ".parquet" else sorted(folder.rglob("*.parquet"))
    if shards:
        import pandas as pd

        sources = [
            io.BytesIO(row["bytes"]) for shard in shards for row in pd.read_parquet(shard, columns=["image"])["image"]
        ]
    else:
        sources = sorted(folder.rglob("*.png"))
    if not sources:
        raise SystemExit(f"{folder} holds neither PNG nor Parquet files")
    return to_tensor([np.asarray(Image.open(source).convert("RGB")) for source in sources])


class Judge(nn.Module):
    """A small convolutional network with a head for parity and one for the background."""

    def __init__(self) -> None:
        super().__init__()

        def block(inputs: int, outputs: int) -> list[nn.Module]:
            both = [(inputs, outputs), (outputs, outputs)]
            layers = [
                nn.Sequential(nn.Conv2d(i, o, 3, padding=1, bias=False), nn.BatchNorm2d(o), nn.ReLU()) for i, o in both
            ]
            return [*layers, nn.MaxPool2d(2)]

        self.body = nn.Sequential(*block(3, 32), *block(32, 64), *block(64, 96), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.heads = nn.Linear(96, 4)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """
        Judge images.

        Parameters
        ----------
        images : torch.Tensor
            In -1..1, of shape (images, 3, 32, 32).

        Returns
        -------
        tuple of torch.Tensor
            Penultimate features (images, 96), logits of the label (images, 2) and of the attribute (images, 2).
        """
        features = self.body(images)
        logits = self.heads(features)
        return features, logits[:, :2], logits[:, 2:]

    @torch.no_grad()
    def look(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Give features, label and attribute of each image."""
        self.eval()
        parts = [self(batch) for batch in images.split(250)]
        features, label, attribute = (torch.cat(part) for part in zip(*parts, strict=True))
        return features, label.argmax(1), attribute.argmax(1)


def balanced(real: Path, copies: int, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Compose the digits of the train and validation splits on both backgrounds, several times each."""
    from sklearn.datasets import load_digits

    with (real / "metadata.csv").open() as file:
        names = {row["path"] for row in csv.DictReader(file) if row["split"] != "test"}
    digits, rng = load_digits(), np.random.default_rng([seed, 1])
    indices = sorted({int(Path(name).stem.split("-")[0]) for name in names})
    plan = [(i, a) for _ in range(copies) for i in indices for a in range(2)]
    images = to_tensor([compose(digits.images[i], ATTRIBUTES[a], rng) for i, a in plan])
    return images, torch.tensor([int(digits.target[i]) % 2 for i, _ in plan]), torch.tensor([a for _, a in plan])


def rendered(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Render digits in tiny-sd's many styles."""
    drawn = draw_many(count, RENDERED_SEED + seed)
    return drawn.images.float() / 127.5 - 1, drawn.digits % 2, drawn.water.long()


def train_judge(real: Path, seed: int = 0, copies: int = 2, epochs: int = 12) -> Judge:
    """Train the judge on group-balanced real images and on as many rendered ones."""
    ours = balanced(real, copies, seed)
    parts = zip(ours, rendered(len(ours[0]), seed), strict=True)
    images, labels, attributes = (torch.cat(part) for part in parts)
    torch.manual_seed(seed)
    judge = Judge().train()
    optimizer = torch.optim.SGD(judge.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=epochs * -(-len(images) // 64))
    for _ in range(epochs):
        for batch in torch.randperm(len(images)).split(64):
            _, label, attribute = judge(images[batch])
            loss = F.cross_entropy(label, labels[batch]) + F.cross_entropy(attribute, attributes[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return judge.eval()


def kid(one: torch.Tensor, other: torch.Tensor) -> float:
    """
    Estimate the squared maximum mean discrepancy of two sets under the kernel (x·y/d + 1)³, without bias.

    Parameters
    ----------
    one, other : torch.Tensor
        Features of shape (n, d) and (m, d).

    Returns
    -------
    float
        About 0 for samples of one distribution; can be below (Bińkowski et al. 2018, section 3).
    """
    one, other = one.double(), other.double()
    n, m = len(one), len(other)

    def kernel(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return (x @ y.T / x.shape[1] + 1) ** 3

    within = [
        (k.sum() - k.trace()) / (size * (size - 1)) for k, size in ((kernel(one, one), n), (kernel(other, other), m))
    ]
    return float(sum(within) - 2 * kernel(one, other).mean())


def sample(
    pipeline, label: str, attribute: str, count: int, guidance: float = 3.0, steps: int = 16, **extra
) -> torch.Tensor:
    """Draw images of a group from a pipeline with the pipeline's own prompt."""
    prompt = f"photo of {'an' if label[0] in 'aeiou' else 'a'} {label} digit on {attribute}"
    pictures = []
    for start in range(0, count, 50):
        seeds = [torch.Generator().manual_seed(i) for i in range(start, min(start + 50, count))]
        settings = dict(num_inference_steps=steps, guidance_scale=guidance, generator=seeds, output_type="np")
        pictures += list(pipeline([prompt] * len(seeds), **settings, **extra).images)
    return to_tensor([(picture * 255).round().astype(np.uint8) for picture in pictures])


def load_real(real: Path, label: str, attribute: str) -> torch.Tensor:
    """Read the real test images of a group."""
    with (real / "metadata.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "test"]
    chosen = [row["path"] for row in rows if (row["label"], row["attribute"]) == (label, attribute)]
    return to_tensor([np.asarray(Image.open(real / path)) for path in chosen])


def report(judge: Judge, real: Path, groups: dict[tuple[str, str], torch.Tensor]) -> None:
    """Print one line per group: images, class share, background share, kernel distance to the real test images."""
    print(f"{'group':12} {'images':>6} {'class %':>8} {'backgr. %':>9} {'KID':>9}")
    for (label, attribute), images in groups.items():
        features, labels, attributes = judge.look(images)
        target, _, _ = judge.look(load_real(real, label, attribute))
        asked = (
            (labels == LABELS.index(label)).float().mean(),
            (attributes == ATTRIBUTES.index(attribute)).float().mean(),
        )
        name = f"{label}-{attribute}"
        print(
            f"{name:12} {len(images):6} {100 * asked[0]:8.1f} {100 * asked[1]:9.1f} {kid(features, target):9.4f}",
            flush=True,
        )


def main() -> None:
    """Train or load the judge and report on images."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", type=Path, required=True, help="folder of waterdigits")
    parser.add_argument("--images", action="append", default=[], metavar="LABEL-ATTRIBUTE=PATH")
    parser.add_argument("--pipeline", type=Path, help="a Stable Diffusion to draw from")
    parser.add_argument("--adapter", type=Path, help="a LoRA adapter to load into the pipeline")
    parser.add_argument("--count", type=int, default=200, help="images per group drawn from the pipeline")
    parser.add_argument("--guidance", type=float, default=3.0)
    parser.add_argument("--steps", type=int, default=16)
    parser.add_argument("--judge", type=Path, help="where the judge's weights are kept; trained when missing")
    arguments = parser.parse_args()
    if arguments.judge and arguments.judge.exists():
        judge = Judge()
        judge.load_state_dict(torch.load(arguments.judge, weights_only=True))
    else:
        judge = train_judge(arguments.real)
        if arguments.judge:
            torch.save(judge.state_dict(), arguments.judge)
    print("real test images")
    report(judge, arguments.real, {group: load_real(arguments.real, *group) for group in GROUPS})
    print("unseen rendered images")
    images, labels, attributes = rendered(2000, 1)
    of = {
        (label, attribute): images[(labels == i) & (attributes == j)]
        for i, label in enumerate(LABELS)
        for j, attribute in enumerate(ATTRIBUTES)
    }
    report(judge, arguments.real, of)
    groups = {}
    for item in arguments.images:
        name, path = item.split("=", 1)
        groups[tuple(name.split("-", 1))] = read(Path(path))
    if arguments.pipeline:
        from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline

        pipeline = StableDiffusionPipeline.from_pretrained(arguments.pipeline)
        pipeline.scheduler = DPMSolverMultistepScheduler.from_config(pipeline.scheduler.config)
        pipeline.set_progress_bar_config(disable=True)
        if arguments.adapter:
            pipeline.load_lora_weights(arguments.adapter)
        for group in GROUPS:
            groups[group] = sample(pipeline, *group, arguments.count, arguments.guidance, arguments.steps)
    if groups:
        print("generated images")
        report(judge, arguments.real, groups)


if __name__ == "__main__":
    main()
