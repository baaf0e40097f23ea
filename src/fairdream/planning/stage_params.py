"""What the jobs from data set to metrics read of the configuration, resolved for data set, bias and method.

See `fairdream.planning.params`. Jobs that tell of what these made: `fairdream.planning.report_params`.
"""

from __future__ import annotations

import itertools
import re
from typing import Any

from fairdream.config.datasets import FfrPrompts
from fairdream.config.pretrain import PretrainValues
from fairdream.config.root import Config
from fairdream.data.groups import attribute_of, label_of
from fairdream.identity import seed_of
from fairdream.methods import base_of, method_of
from fairdream.planning import inference, plan

Values = dict[str, Any]


def fetch_model(config: Config, role: str) -> Values:
    """Return the values of one model."""
    return getattr(config.models, role).model_dump()


def waterdigits(config: Config) -> Values:
    """Return the demo data set's seed."""
    return {"seed": config.seed}


def fetch_dataset(config: Config, dataset: str) -> Values:
    """Return where the data set comes from and goes to."""
    own = config.datasets[dataset]
    return {"folder": own.folder, "download": own.download.model_dump() if own.download else None}


def manifest(config: Config, dataset: str) -> Values:
    """Return where the data set lies."""
    return config.datasets[dataset].reading().model_dump()


def index(config: Config, dataset: str) -> Values:
    """Return how the data set's tables read."""
    own = config.datasets[dataset].reading()
    return {"seed": config.seed if own.held_out else None, "source": own.model_dump()}


def split(config: Config, dataset: str, bias: str) -> Values:
    """Return what chooses the training set of a bias."""
    own = config.datasets[dataset]
    images = own.images if own.split_at(bias) else ""
    return {"images": images, "keep": plan.training_counts(config, dataset, bias), "seed": config.seed}


def hold_back(config: Config, dataset: str) -> Values:
    """Return what chooses the training images that stage 1 does not see."""
    return {"seed": config.seed, "share": config.baselines.afr.of(dataset=dataset).share}


def embed(config: Config, dataset: str) -> Values:
    """Return the CLIP model."""
    return config.models.clip.model_dump()


def infer(config: Config, dataset: str, way: str) -> Values:
    """Return what decides an inferred attribute: CLIP and texts, or XRM's seed."""
    by_words = way == inference.WORDS
    return {
        "clip": config.models.clip.model_dump() if by_words else None,
        "labels": [] if by_words else sorted(config.datasets[dataset].labels),
        "seed": 0 if by_words else config.seed,
        "texts": inference.texts(config, dataset) if by_words else None,
    }


def subjects(config: Config, dataset: str, bias: str, method: str) -> Values:
    """Return which images each adapter of a method learns."""
    row = method_of(method)
    groups = plan.trained_groups(config, dataset, bias)
    counts = plan.training_counts(config, dataset, bias)
    sample = {
        "smallest": min(counts[group] for group in groups),
        "capped": config.subjects.dreambooth_images,
        "all": None,
    }[row.sample]
    clustered = row.subjects == "cluster"
    return {
        "clusters": plan.number_of_clusters(config, dataset, method) if clustered else None,
        "groups": groups,
        "min_cluster_size": config.subjects.min_cluster_size if clustered else 0,
        "n_init": config.subjects.n_init if clustered else 0,
        "sample": sample,
        "seed": config.seed,
    }


def nothing(config: Config) -> Values:
    """Return nothing: what such a job makes hangs on its input files alone."""
    return {}


def finetune(config: Config, dataset: str, bias: str, method: str, subject: str) -> Values:
    """Return the training values, with the prompt that the subject's images are learnt under."""
    token = config.finetune.token if method_of(method).token else None
    prompts = config.datasets[dataset].prompts
    group = "-".join(subject.split("-")[:2])
    prompt = fill(config, dataset, prompts.subject if token else prompts.group, group, token)
    return {
        **config.finetune.of(base_of(method), dataset).model_dump(),
        "prompt": prompt,
        "seed": plan.generation_seed(config, method),
        "token": token,
    }


def generate(config: Config, dataset: str, bias: str, method: str, group: str) -> Values:
    """Return the sampling values, with the prompts of the group."""
    row, prompts, values = method_of(method), config.datasets[dataset].prompts, config.generate
    guidance, negative = values.guidance_scale, ""
    token = config.finetune.token if row.token else None
    if bias != plan.ANY_BIAS and plan.is_swapped_prompt(config, dataset, bias, method, group):
        prompt = fill(config, dataset, prompts.swapped, group, None)
        words = config.datasets[dataset].attributes
        others = [name for name in words if name != attribute_of(group)]
        if not row.mirrored:
            others = [attribute_of(plan.source_group(config, dataset, bias, group))]
        negative = ", ".join(prompts.negative.format(attribute=words[name]) for name in others)
        guidance = config.swap.guidance_scale or guidance
    else:
        prompt = fill(config, dataset, prompts.subject if token else prompts.group, group, token)
    if row.own_prompts:
        assert prompts.ffr  # plan.check_plan
        several = _ffr_prompts(prompts.ffr, group, config.seed)
    else:
        several = [prompt]
    # a key that is not given is none of the job's: what was drawn before there was one stays valid
    spacing = {"timestep_spacing": values.timestep_spacing} if values.timestep_spacing else {}
    return {
        # the base model has no adapter to scale
        "adapter_scale": values.adapter_scale if row.subjects else 1.0,
        "guidance_interval": values.guidance_interval,
        "guidance_scale": guidance,
        "max_redraws": values.max_redraws,
        "negative_prompt": negative,
        "num_inference_steps": values.num_inference_steps,
        "prompts": several,
        "scheduler": values.scheduler,
        "seed": plan.generation_seed(config, method),
        **spacing,
    }


def score(config: Config, dataset: str, group: str) -> Values:
    """Return the CLIP model and CLIP-Label's text."""
    prompt = fill(config, dataset, config.datasets[dataset].prompts.clip_label, group, None)
    return {"clip": config.models.clip.model_dump(), "prompt": prompt}


def select(config: Config, dataset: str, bias: str, method: str, selection: str) -> Values:
    """Return what the name of a selection means.

    ``clip``: the paper's, with its alpha for severe biases and swapped groups; ``alpha25``: CLIP score with alpha 0.25
    for all groups; ``random``: as many images, by chance; ``all``: every image; ``nongrey``: FFR's filter.
    """
    values = config.select
    if selection == "nongrey":
        return {"grey_distance": config.baselines.grey_distance}
    if selection == "all":
        return {}
    if selection == "random":
        return {"fraction": values.fraction, "random_seed": config.seed}
    groups = plan.groups(config, dataset)
    if selection == "clip":
        swapped = plan.swapped_groups(config, dataset, bias)
        severe = bias != "original" and float(bias) >= config.swap.from_ratio
        alpha = {group: values.alpha_swapped if severe or group in swapped else values.alpha for group in groups}
    else:
        alpha = dict.fromkeys(groups, percent(selection, "alpha"))
    return {"alpha": alpha, "fraction": values.fraction, "standardize": values.standardize}


def pretrain(config: Config, dataset: str, method: str, loss: str) -> Values:
    """Return stage 1's values: those that the loss of this name reads, the others fixed.

    ``supcon``: the paper's CE + SupCon; ``beta25``: the same with beta 0.25; ``ce``, ``gdro``, ``jtt``.
    """
    row, values, peers = method_of(method), config.pretrain.of(base_of(method), dataset), config.baselines
    beta, temperature = _weights(values, loss)
    return {
        **values.model_dump(),
        "batches": row.batches,
        "beta": beta,
        "checkpoints": peers.self_.of(dataset=dataset).checkpoints if row.checkpoints else [],
        "encoder": config.models.encoder.model_dump(),
        "gdro": peers.gdro.of(dataset=dataset).model_dump() if loss == "gdro" else None,
        "jtt": peers.jtt.of(dataset=dataset).model_dump() if loss == "jtt" else None,
        "labels": sorted(config.datasets[dataset].labels),
        "temperature": temperature,
    }


def retrain(config: Config, dataset: str, method: str, loss: str, recipe: str) -> Values:
    """Return stage 2's values: those that the recipe reads."""
    values: Values = {"recipe": recipe}
    peers = config.baselines
    if recipe == "self":
        return {**values, "self_": peers.self_.of(dataset=dataset).model_dump()}
    if recipe == "dfr":
        return {**values, "dfr": peers.dfr.of(dataset=dataset).model_dump()}
    if recipe == "dfr_synthetic":
        count = peers.dfr_synthetic.images_per_group
        return {**values, "dfr": peers.dfr.of(dataset=dataset).model_dump(), "synthetic_images": count}
    if recipe == "hsfm":
        return {**values, "hsfm": peers.hsfm.of(dataset=dataset).model_dump()}
    if recipe == "afr":
        return {**values, "afr": peers.afr.of(dataset=dataset).model_dump(exclude={"share"})}
    if recipe == "stage1_only":
        return values
    values["training"] = config.retrain.of(recipe, dataset).model_dump()
    if recipe in ("ft_all", "ft_balanced", "gdro"):
        own = config.pretrain.of(base_of(method), dataset)
        values["augmentation"] = {"crop_scale": own.crop_scale, "flip": own.flip}
        if recipe == "gdro":
            values["gdro"] = peers.gdro.of(dataset=dataset).model_dump()
        else:
            values["beta"], values["temperature"] = _weights(own, loss)
    return values


def evaluate(config: Config, dataset: str, bias: str, **names: str) -> Values:
    """Return the classifier's names and the sizes of the training groups."""
    return {
        "names": {"dataset": dataset, "bias": bias, **names},
        "train_counts": plan.training_counts(config, dataset, bias),
    }


def percent(name: str, word: str) -> float:
    """Return the share in a name such as ``alpha25``.

    Raises
    ------
    ValueError
        For any other name: taken for a share of 1, it would run, and be something else than it says.
    """
    if not re.fullmatch(rf"{word}\d+", name):
        raise ValueError(f"{name}: neither a name that is known, nor {word} and a share in per cent")
    return int(name.removeprefix(word)) / 100


def _weights(own: PretrainValues, loss: str) -> tuple[float, float]:
    """Return beta and temperature; cross-entropy alone has none, so SupCon's must not make it stale."""
    if loss in ("ce", "gdro", "jtt"):
        return 1.0, 1.0
    beta = own.beta if loss == "supcon" else percent(loss, "beta")
    return beta, own.temperature if beta < 1 else 1.0


def _ffr_prompts(prompts: FfrPrompts, group: str, seed: int) -> list[str]:
    """Return every combination in a seeded order, so that any first part of the images has all kinds."""
    pairs = itertools.product(prompts.labels[label_of(group)], prompts.attributes[attribute_of(group)])
    filled = [prompts.template.format(label=label, attribute=attribute) for label, attribute in pairs]
    return sorted(filled, key=lambda text: seed_of("prompt", seed, text))


def fill(config: Config, dataset: str, template: str, group: str, token: str | None) -> str:
    """Return a prompt of the configuration with the words of a group's label and attribute."""
    own = config.datasets[dataset]
    return template.format(
        label=own.labels[label_of(group)], attribute=own.attributes[attribute_of(group)], token=token
    )
