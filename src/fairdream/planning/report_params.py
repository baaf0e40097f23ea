"""What the jobs that only tell of a run read of the configuration: tables, figures, audits, cards."""

from __future__ import annotations

from typing import Any

from fairdream.config.root import Config
from fairdream.data.audit_page import title_of
from fairdream.data.inferred import WAYS
from fairdream.methods import method_of
from fairdream.planning import inference, plan
from fairdream.planning.method_requirements import advice
from fairdream.planning.stage_params import fill, generate, select
from fairdream.reporting.html_page import PAGES

Values = dict[str, Any]
ADAPTERS = {None: "no adapter", "group": "one adapter per group", "cluster": "one adapter per cluster of a group"}


def tabulate(config: Config) -> Values:
    """Return how tables are marked, and what they say of inferred attributes."""
    notes = [
        f"{name}: the attributes were inferred by {WAYS[own.inferred.by]}, "
        + ("but for the test's" if own.inferred.true_test else "the test's too, so these groups are not the true ones")
        for name, own in config.datasets.items()
        if own.inferred
    ]
    # only where there is one: no other table is written anew
    return config.tables.model_dump() | ({"notes": notes} if notes else {})


def benchmarks(config: Config) -> Values:
    """Return where the benchmarks lie."""
    return {"benchmarks": f"{config.results}/benchmarks"}


def ablate(config: Config) -> Values:
    """Return the lines of the ablation table with their metrics."""
    return {
        "lines": [
            {
                "dataset": dataset,
                "bias": bias,
                "ablation": setting.ablation,
                "setting": setting.name,
                "metrics": [
                    f"{config.results}/{setting.classifier.path(dataset, bias, seed)}.metrics.json"
                    for seed in config.seeds
                ],
            }
            for dataset in config.datasets
            for bias in map(str, config.ablations.biases)
            for setting in plan.ablations(config, dataset, bias)
        ]
    }


def uncertainty(config: Config) -> Values:
    """Return how intervals are drawn."""
    return {**config.uncertainty.model_dump(), "seed": config.seed}


def figure(config: Config) -> Values:
    """Return the number of images of each kind in a row."""
    return {"columns": 10}


def compare(config: Config) -> Values:
    """Return the rows of a comparison of methods."""
    return {"columns": 20, "titles": [method_of(method).title for method in plan.compared_methods(config)]}


def audit(config: Config, dataset: str) -> Values:
    """Return what the audit of a training set compares with its counts."""
    return advice(config, dataset)


def inference_report(config: Config, dataset: str, way: str) -> Values:
    """Return what the page of an inferred attribute says beside the table."""
    own = config.datasets[dataset]
    return {
        "dataset": dataset,
        "labels": sorted(own.labels),
        "min_images": config.swap.min_images_for_own_model,
        "true_values": sorted(own.attributes) if own.inferred is None else [],
        "values": inference.values(config, dataset, way),
        "way": way,
    }


def copies(config: Config) -> Values:
    """Return when an image is a near copy."""
    own = config.audits
    return {
        "embedding": own.copy_embedding,
        "pixels": own.copy_pixels,
        "quantile": own.copy_quantile,
        "seed": config.seed,
    }


def texts(config: Config, dataset: str) -> Values:
    """Return the CLIP model and the words of the zero-shot classes; an attribute's stand with every label's."""
    own = config.datasets[dataset]
    prompt, some = own.prompts, next(iter(own.attributes))
    return {
        "attributes": {
            a: [fill(config, dataset, prompt.group, f"{y}-{a}", None) for y in own.labels] for a in own.attributes
        },
        "clip": config.models.clip.model_dump(),
        "labels": {y: [fill(config, dataset, prompt.clip_label, f"{y}-{some}", None)] for y in own.labels},
    }


def quality(config: Config, dataset: str, bias: str, method: str) -> Values:
    """Return how CLIP would rank the images, whatever selection the method has."""
    names = {"dataset": dataset, "bias": bias, "method": method}
    return {**select(config, dataset, bias, method, "clip"), "columns": 8, "names": names, "seed": config.seed}


def page(config: Config, table: str) -> Values:
    """Return the title of a page of the report."""
    return {"title": PAGES[table].title}


def audit_page(config: Config, dataset: str) -> Values:
    """Return the title of the page of a training set's audit."""
    return {"title": title_of(dataset)}


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


def export(config: Config, dataset: str, bias: str, method: str) -> Values:
    """Return what a classifier's card tells."""
    own, row = config.datasets[dataset], method_of(method)
    synthetic = None
    if row.synthetic:
        kept = {"clip": f"the {config.select.fraction:.0%} with the highest CLIP score", "nongrey": "those not grey"}
        synthetic = (
            f"{config.generate.images_per_group:,} images per group generated by {config.models.diffusion.id} with "
            f"{ADAPTERS[row.subjects]}, of which {kept[row.selection]} were kept, then from the real training images"
        )
    if row.recipe == "dfr_synthetic":
        borrowed = config.baselines.dfr_synthetic
        synthetic = (
            f"the real training images, its last layer from {borrowed.images_per_group} generated images per group, of "
            f"those of {method_of(borrowed.images_of).title}"
        )
    encoder = config.models.encoder
    return {
        "attributes": own.attributes,
        "bias": bias,
        "dataset": dataset,
        "encoder": encoder.name + (f", begun from {encoder.weights}" if encoder.weights else ""),
        "labels": own.labels,
        "method": row.title,
        "origin": own.origin,
        "synthetic": synthetic,
        "train_counts": plan.training_counts(config, dataset, bias),
    }


def images_card(config: Config, dataset: str, bias: str, method: str) -> Values:
    """Return what the card of a method's images tells."""
    groups = {group: generate(config, dataset, bias, method, group) for group in plan.groups(config, dataset)}
    return {
        **card_of(config, dataset, bias, method),
        "adapters": ADAPTERS[method_of(method).subjects],
        "groups": groups,
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
