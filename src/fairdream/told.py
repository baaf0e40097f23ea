"""What the jobs read of the configuration that only tell of a run: pages, records, cards. See `fairdream.sections`."""

from __future__ import annotations

from typing import Any

from fairdream import plan
from fairdream.config import Config
from fairdream.methods import method_of
from fairdream.page import PAGES

Values = dict[str, Any]


def page(config: Config, table: str) -> Values:
    """Return the title of a page of the report."""
    return {"title": PAGES[table].title}


def hours(config: Config) -> Values:
    """Return where the benchmarks lie."""
    return {"benchmarks": f"{config.results}/benchmarks"}


def provenance(config: Config) -> Values:
    """Return all that a run was asked for: the one section that any edit changes."""
    models = config.models
    return {
        "configuration": config.model_dump(mode="json", by_alias=True),
        "counts": {
            dataset: {bias: plan.training_counts(config, dataset, bias) for bias in plan.biases(config)}
            for dataset in config.datasets
        },
        "origins": {name: own.origin for name, own in config.datasets.items()},
        "sources": {
            "clip": " ".join(filter(None, (models.clip.name, models.clip.pretrained))),
            "diffusion": " at ".join(filter(None, (models.diffusion.id, models.diffusion.revision))),
            "encoder": " ".join(filter(None, (models.encoder.name, models.encoder.weights or "random weights"))),
        },
    }


def adapters_card(config: Config, dataset: str, bias: str, method: str) -> Values:
    """Return what the card of a method's adapters tells."""
    return {**card_of(config, dataset, bias, method), "adapter_scale": config.generate.adapter_scale}


def card_of(config: Config, dataset: str, bias: str, method: str) -> Values:
    """Return what the cards of adapters and of images have in common."""
    model = config.models.diffusion
    return {
        "base": model.id,
        "bias": bias,
        "dataset": dataset,
        "method": method_of(method).title,
        "origin": config.datasets[dataset].origin,
        "revision": model.revision,
    }
