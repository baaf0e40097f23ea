"""A classifier to take away: weights, what is needed to use them, and a card that says what to expect of it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from fairdream import __version__
from fairdream.classification import classifier
from fairdream.config.base import Section
from fairdream.runtime.files import atomic, write_text


class ExportJob(Section):
    """What the card tells."""

    method: str
    bias: str
    dataset: str
    origin: str
    labels: dict[str, str]
    attributes: dict[str, str]
    train_counts: dict[str, int]
    synthetic: str | None
    encoder: str


def export(weights: list[str], metrics: list[str], model: str, settings: str, card: str, config: ExportJob) -> None:
    """Write the best classifier of a row, `config.json` and a model card.

    Of the seeds, the one with the highest worst-group accuracy on the validation set is taken (the first of equals), so
    the test set chooses nothing.

    Parameters
    ----------
    weights, metrics
        One file per seed, in the same order.
    model, settings, card
        Outputs, in one folder.
    """
    results = [json.loads(Path(path).read_text(encoding="utf-8")) for path in metrics]
    chosen = max(range(len(results)), key=lambda number: _validation(results[number]))
    with atomic(model) as path:
        shutil.copyfile(weights[chosen], path)
    _, labels, image_size = classifier.load(model)
    content = {
        "fairdream": __version__,
        "architecture": config.encoder,
        "labels": labels,
        "image_size": image_size,
        "preprocessing": {
            "resize": "shorter side to image_size, bilinear",
            "crop": "centre, image_size x image_size",
            "scale": "1 / 255",
            "mean": classifier.MEAN,
            "std": classifier.STD,
        },
    }
    write_text(settings, json.dumps(content, indent=1) + "\n")
    write_text(card, _card(results, chosen, content, config))


def interval(correct: int, count: int) -> tuple[float, float]:
    """Return the 95 % Wilson score interval of a share, in per cent."""
    from scipy.stats import binomtest

    low, high = binomtest(correct, count).proportion_ci(0.95, method="wilson")
    return 100 * float(low), 100 * float(high)


def _validation(result: dict[str, Any]) -> float:
    return result["validation"]["wga"] if "validation" in result else 0.0


def _rows(groups: dict[str, Any], untested: list[str], config: ExportJob) -> list[str]:
    """Return the rows of the table of accuracies, groups without a test image at its end."""
    rows = []
    for name, group in groups.items():
        low, high = interval(group["correct"], group["count"])
        cells = [name, f"{config.train_counts[name]:,}", f"{group['count']:,}"]
        cells += [f"{100 * group['correct'] / group['count']:.1f}", f"{low:.1f} to {high:.1f}"]
        rows.append(f"| {' | '.join(cells)} |")
    return rows + [f"| {name} | {config.train_counts[name]:,} | 0 | – | – |" for name in untested]


def _card(results: list[dict[str, Any]], chosen: int, content: dict[str, Any], config: ExportJob) -> str:
    result = results[chosen]
    groups = result["test"]["groups"]
    worst = min(groups, key=lambda name: groups[name]["correct"] / groups[name]["count"])
    untested = [name for name in config.train_counts if name not in groups]
    front = {"library_name": "fairdream", "pipeline_tag": "image-classification", "tags": ["group-robustness"]}
    seeds = f"the one of {len(results)} seeds with the highest worst-group accuracy on the validation images"
    others = ", ".join(f"{other['test']['wga']:.1f}" for other in results)
    words = "; ".join(f"`{name}`: {text}" for name, text in config.labels.items())
    attributes = ", ".join(f"`{name}` ({text})" for name, text in config.attributes.items())
    learnt = config.synthetic or "the real training images alone"
    return "\n".join(
        [
            "---",
            *(f"{key}: {json.dumps(value)}" for key, value in front.items()),
            "---",
            "",
            f"# {config.dataset}: {config.method}",
            "",
            f"An image classifier ({config.encoder}) with the classes {words}. Made with FairDream {__version__}.",
            "",
            "```sh",
            "fairdream predict THIS_FOLDER IMAGES… --output predictions.csv",
            "```",
            "",
            "## How it was made",
            "",
            f"- Data: {config.dataset}, {config.origin.strip()}",
            f"- Training set at bias {config.bias}; the attribute that goes with the class: {attributes}",
            f"- Method: {config.method}. It learnt from {learnt}",
            f"- Of the seeds: {seeds}" if len(results) > 1 else "- One seed",
            "",
            "## Accuracy",
            "",
            f"On the test images, in per cent. Worst group: **{result['test']['wga']:.1f}** ({worst}); mean over "
            f"groups: {result['test']['aga']:.1f}; over all test images: {result['test']['sample']:.1f}."
            + (f" Worst group of each seed: {others}." if len(results) > 1 else ""),
            "",
            *(
                [f"**No test image of {', '.join(untested)}: these numbers say nothing of it.**", ""]
                if untested
                else []
            ),
            "| group (class-attribute) | training images | test images | accuracy | 95 % interval (Wilson) |",
            "| --- | ---: | ---: | ---: | ---: |",
            *_rows(groups, untested, config),
            "",
            "## Limits",
            "",
            "- It was made equal over the attribute above and no other: measure any that matters where it is used.",
            "- The accuracies are those of images like the test images; other cameras, places or people may differ.",
            "- A class that is not in the list is taken for one that is.",
            f"- Images are resized to {content['image_size']} pixels and cropped in the middle before it sees them.",
            "",
        ]
    )
