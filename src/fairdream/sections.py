"""What each job reads of the configuration: plain values, resolved for its data set, bias and method.

These dictionaries are the rules' params, so they decide what reruns: a value that a job does not use must not be in
its dictionary, and every value that changes its result must be. `as_params` sorts their keys, because Snakemake
compares text.
"""

from __future__ import annotations

from typing import Any

from fairdream import plan
from fairdream.bias import attribute_of, counts_at, label_of
from fairdream.config import Config
from fairdream.methods import METHODS

Values = dict[str, Any]


def as_params(values: Any) -> Any:
    """Return the values with the keys of every dictionary sorted, so that their order in the file says nothing."""
    if isinstance(values, dict):
        return {key: as_params(values[key]) for key in sorted(values)}
    return [as_params(value) for value in values] if isinstance(values, list) else values


def fetch_model(config: Config, role: str) -> Values:
    """Return the values of one model."""
    return getattr(config.models, role).model_dump()


def waterdigits(config: Config) -> Values:
    """Return the demo data set's seed."""
    return {"seed": config.seed}


def check_data(config: Config, dataset: str) -> Values:
    """Return where the data set lies."""
    return config.datasets[dataset].reading().model_dump()


def index(config: Config, dataset: str) -> Values:
    """Return how the data set's tables read."""
    return config.datasets[dataset].reading().model_dump()


def split(config: Config, dataset: str, bias: str) -> Values:
    """Return what chooses the training set of a bias."""
    return {"bias": bias, "seed": config.seed, "train_counts": config.datasets[dataset].train_counts}


def embed(config: Config, dataset: str) -> Values:
    """Return the CLIP model."""
    return config.models.clip.model_dump()


def subjects(config: Config, dataset: str, bias: str, method: str) -> Values:
    """Return which images each adapter of a method learns."""
    row = METHODS[method]
    groups = plan.trained_groups(config, dataset, bias)
    counts = counts_at(config.datasets[dataset].train_counts, bias)
    sample = {
        "smallest": min(counts[group] for group in groups),
        "capped": config.subjects.dreambooth_images,
        "all": None,
    }[row.sample]
    clustered = row.subjects == "cluster"
    return {
        "clusters": plan.number_of_clusters(config, dataset) if clustered else None,
        "groups": groups,
        "min_cluster_size": config.subjects.min_cluster_size if clustered else 0,
        "n_init": config.subjects.n_init if clustered else 0,
        "sample": sample,
        "seed": config.seed,
    }


def centroids(config: Config) -> Values:
    """Return nothing: a centroid is a mean."""
    return {}


def finetune(config: Config, dataset: str, bias: str, method: str, subject: str) -> Values:
    """Return the training values, with the prompt that the subject's images are learnt under."""
    token = config.finetune.token if METHODS[method].token else None
    prompts = config.datasets[dataset].prompts
    group = "-".join(subject.split("-")[:2])
    prompt = _fill(config, dataset, prompts.subject if token else prompts.group, group, token)
    return {**config.finetune.of(method).model_dump(), "prompt": prompt, "seed": config.seed, "token": token}


def generate(config: Config, dataset: str, bias: str, method: str, group: str) -> Values:
    """Return the sampling values, with the prompts of the group."""
    row, prompts, values = METHODS[method], config.datasets[dataset].prompts, config.generate
    guidance, negative = values.guidance_scale, ""
    token = config.finetune.token if row.token else None
    if bias != plan.ANY_BIAS and plan.is_swapped_prompt(config, dataset, bias, method, group):
        prompt = _fill(config, dataset, prompts.swapped, group, None)
        words = config.datasets[dataset].attributes
        others = [name for name in words if name != attribute_of(group)]
        if not row.mirrored:
            others = [attribute_of(plan.source_group(config, dataset, bias, group))]
        negative = ", ".join(prompts.negative.format(attribute=words[name]) for name in others)
        guidance = config.swap.guidance_scale or guidance
    else:
        prompt = _fill(config, dataset, prompts.subject if token else prompts.group, group, token)
    return {
        # the base model has no adapter to scale
        "adapter_scale": values.adapter_scale if row.subjects else 1.0,
        "guidance_scale": guidance,
        "max_redraws": values.max_redraws,
        "negative_prompt": negative,
        "num_inference_steps": values.num_inference_steps,
        "prompt": prompt,
        "scheduler": values.scheduler,
        "seed": config.seed,
    }


def score(config: Config, dataset: str, group: str) -> Values:
    """Return the CLIP model and CLIP-Label's text."""
    prompt = _fill(config, dataset, config.datasets[dataset].prompts.clip_label, group, None)
    return {"clip": config.models.clip.model_dump(), "prompt": prompt}


def select(config: Config, dataset: str, bias: str, method: str) -> Values:
    """Return each group's alpha: the swapped one at a severe bias, and for any group that is swapped."""
    values = config.select
    swapped = plan.swapped_groups(config, dataset, bias)
    severe = bias != "original" and float(bias) >= config.swap.from_ratio
    return {
        "alpha": {
            group: values.alpha_swapped if severe or group in swapped else values.alpha
            for group in plan.groups(config, dataset)
        },
        "fraction": values.fraction,
        "standardize": values.standardize,
    }


def pretrain(config: Config, dataset: str, method: str) -> Values:
    """Return stage 1's values."""
    own = METHODS[method].beta
    beta = config.pretrain.beta if own is None else own
    return {
        **config.pretrain.model_dump(),
        "beta": beta,
        # cross-entropy alone has none, and must not be trained again when SupCon's changes
        "temperature": config.pretrain.temperature if beta < 1 else 1.0,
        "encoder": config.models.encoder.model_dump(),
        "labels": sorted(config.datasets[dataset].labels),
    }


def retrain(config: Config, recipe: str) -> Values:
    """Return stage 2's values; the recipe that trains nothing has none."""
    return {"recipe": recipe, "training": None if recipe == "stage1_only" else config.retrain.model_dump()}


def evaluate(config: Config, dataset: str, bias: str, **names: str) -> Values:
    """Return the classifier's names and the sizes of the training groups."""
    return {
        "names": {"dataset": dataset, "bias": bias, **names},
        "train_counts": counts_at(config.datasets[dataset].train_counts, bias),
    }


def tabulate(config: Config) -> Values:
    """Return how tables are marked."""
    return config.tables.model_dump()


def plot(config: Config) -> Values:
    """Return the number of images of each kind in a row."""
    return {"columns": 10}


def _fill(config: Config, dataset: str, template: str, group: str, token: str | None) -> str:
    own = config.datasets[dataset]
    return template.format(
        label=own.labels[label_of(group)], attribute=own.attributes[attribute_of(group)], token=token
    )
