"""What a run consists of: groups, subjects and shards of each data set, bias and method, from the configuration alone.

Words: a *subject* is a set of training images that one adapter learns; a *shard* is a range of one subject's images;
a group is *swapped* when its images are drawn from the adapter of its class's aligned group (paper, Fig. 3).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from fairdream.config.root import Config
from fairdream.data.groups import ORIGINAL, aligned_groups, counts_at, label_of
from fairdream.errors import UserError
from fairdream.identity import seed_of
from fairdream.methods import method_of

ANY_BIAS = "any"
NO_SUBJECT = "base"


@dataclass(frozen=True)
class Classifier:
    """One way to a classifier; its folder and recipe in a path, without the seed."""

    method: str
    selection: str
    loss: str
    recipe: str

    def path(self, dataset: str, bias: str, seed: int) -> str:
        """Return its files' path without the ending, relative to the results."""
        folder = f"{dataset}/{bias}/{self.method}/classifiers/{self.selection}-{self.loss}"
        return f"{folder}/seed{seed}/{self.recipe}"


@dataclass(frozen=True)
class Shard:
    """Images start..stop-1 of one subject, drawn for one group."""

    group: str
    subject: str
    start: int
    stop: int

    @property
    def name(self) -> str:
        """The shard's file name without its ending."""
        return f"{self.start:06d}-{self.stop:06d}"


def biases(config: Config) -> list[str]:
    """Return the biases as they stand in paths."""
    return [str(bias) for bias in config.biases]


def groups(config: Config, dataset: str) -> list[str]:
    """Return the groups of a data set, sorted."""
    return sorted(config.datasets[dataset].train_counts)


def training_counts(config: Config, dataset: str, bias: str) -> dict[str, int]:
    """Return the training images of each group at a bias: by the rule, or of the data set's own split."""
    own = config.datasets[dataset].split_at(bias)
    return own.train_counts if own else counts_at(config.datasets[dataset].train_counts, bias, config.bias_rule)


def number_of_clusters(config: Config, dataset: str, method: str) -> int:
    """Return k = max(1, min(round(M / 20), 20)), M the smallest group at the original bias (paper, section 4.2).

    A group without an image is none to cluster, so it is not the smallest.
    """
    own = config.datasets[dataset]
    stated = method_of(method).clusters
    if stated is not None:
        return stated
    if own.clusters is not None:
        return own.clusters
    smallest = min(filter(None, own.train_counts.values()))
    return max(1, min(round(smallest / config.subjects.images_per_cluster), config.subjects.max_clusters))


def swapped_groups(config: Config, dataset: str, bias: str) -> list[str]:
    """Return the groups without an adapter of their own at this bias; an inferred one counts by its confidence."""
    original, inferred = config.datasets[dataset].train_counts, config.datasets[dataset].inferred
    sure = inferred.confidence if inferred else {}
    severe = bias != ORIGINAL and float(bias) >= config.swap.from_ratio
    counts, aligned = training_counts(config, dataset, bias), aligned_groups(original).values()
    least = config.swap.min_images_for_own_model
    return [
        group
        for group in sorted(counts)
        if group not in aligned and (severe or counts[group] * sure.get(group, 1.0) < least)
    ]


def source_group(config: Config, dataset: str, bias: str, group: str) -> str:
    """Return the group whose adapters draw this group."""
    if group in swapped_groups(config, dataset, bias):
        return aligned_groups(config.datasets[dataset].train_counts)[label_of(group)]
    return group


def is_swapped_prompt(config: Config, dataset: str, bias: str, method: str, group: str) -> bool:
    """Tell whether the group is drawn with the swapped prompt: no token, a negative prompt for the source attribute.

    A mirrored method draws the aligned group of a class with a swapped group in the same way.
    """
    swapped = swapped_groups(config, dataset, bias)
    if method_of(method).mirrored:
        return label_of(group) in {label_of(other) for other in swapped}
    return method_of(method).subjects is not None and group in swapped


def exists_at(config: Config, dataset: str, bias: str, row: str) -> bool:
    """Tell whether a row exists at this bias: a mirrored one only where a group is swapped."""
    return not method_of(row).mirrored or bool(swapped_groups(config, dataset, bias))


def methods_at(config: Config, dataset: str, bias: str) -> list[str]:
    """Return the methods with a row at this bias."""
    return [method for method in config.methods if exists_at(config, dataset, bias, method)]


def severe_biases(config: Config) -> list[str]:
    """Return the biases from which conflicting groups are swapped: those of Table 2."""
    return [bias for bias in biases(config) if bias != ORIGINAL and float(bias) >= config.swap.from_ratio]


def compared_methods(config: Config) -> list[str]:
    """Return the methods whose images of a group are shown side by side: those with adapters of their own."""
    rows = {method: method_of(method) for method in config.methods}
    return [name for name, row in rows.items() if row.subjects and not row.adapters_of and not row.stage1_of]


@dataclass(frozen=True)
class Setting:
    """One line of the ablation table."""

    ablation: str
    name: str
    classifier: Classifier


def ablations(config: Config, dataset: str, bias: str) -> list[Setting]:
    """Return the ablations of the paper and of its extended version, each a classifier that reuses what it can.

    A setting that is the run's own has its path, so it is not trained twice.
    """
    values = config.ablations
    own = classifiers(config, values.method)[0]
    severe = bias != ORIGINAL and float(bias) >= config.swap.from_ratio
    alpha = config.select.alpha_swapped if severe else config.select.alpha
    beta = config.pretrain.of(values.method, dataset).beta
    result = []
    for value in values.alphas:
        selection = own.selection if value == alpha else selection_of(config, f"alpha{round(100 * value)}")
        result.append(Setting("CLIP-Score", f"alpha = {value:g}", replace(own, selection=selection)))
    result.append(Setting("CLIP-Score", "random", replace(own, selection=selection_of(config, "random"))))
    result.append(Setting("Filtering", "top share", own))
    result.append(Setting("Filtering", "all images", replace(own, selection=selection_of(config, "all"))))
    for value in values.betas:
        loss = own.loss if value == beta else f"beta{round(100 * value)}"
        result.append(Setting("Loss", f"beta = {value:g}", replace(own, loss=loss)))
    result += [Setting("Stage 2", recipe, replace(own, recipe=recipe)) for recipe in values.recipes]
    for value in values.clusters:
        same = value == number_of_clusters(config, dataset, own.method)
        result.append(
            Setting("Clusters", f"k = {value}", own if same else replace(own, method=f"{own.method}_k{value}"))
        )
    return result


def selection_of(config: Config, selection: str) -> str:
    """Return the name of a selection of synthetic images, with near copies left out of it where that is asked for."""
    return f"{selection}_distinct" if config.select.drop_copies else selection


def classifiers(config: Config, row: str) -> list[Classifier]:
    """Return the classifiers of a row: one for each seed of the generator."""
    own = method_of(row)
    generations = config.generator_seeds if own.synthetic else [0]
    selection = selection_of(config, own.selection) if own.synthetic else own.selection
    return [
        Classifier((own.stage1_of or row) + (f"_g{number}" if number else ""), selection, own.loss, own.recipe)
        for number in generations
    ]


def generation_seed(config: Config, method: str) -> int:
    """Return the root of the generator's random streams: another one for each of its repetitions."""
    number = method_of(method).generation
    return seed_of("generation", config.seed, number) if number else config.seed


def trained_groups(config: Config, dataset: str, bias: str) -> list[str]:
    """Return the groups that train an adapter at this bias."""
    swapped = swapped_groups(config, dataset, bias)
    return [group for group in groups(config, dataset) if group not in swapped]


def adapter_method(method: str) -> str:
    """Return the method whose adapters this method draws from."""
    return method_of(method).adapters_of or method


def subjects_of(config: Config, dataset: str, method: str, group: str) -> list[str]:
    """Return the subjects that the images of a group are learnt as."""
    kind = method_of(method).subjects
    if kind is None:
        return [NO_SUBJECT]
    if kind == "group":
        return [group]
    return [f"{group}-c{index:02d}" for index in range(number_of_clusters(config, dataset, method))]


def image_bias(method: str, bias: str) -> str:
    """Return the bias folder of a method's images: ``any`` where they do not depend on the training set."""
    return ANY_BIAS if method_of(method).subjects is None else bias


def shards(config: Config, dataset: str, bias: str, method: str) -> list[Shard]:
    """Return all shards of a method; the remainder of M / k goes to the first subjects."""
    result = []
    total, size = config.generate.images_per_group, config.generate.shard_size
    for group in groups(config, dataset):
        source = group if method_of(method).subjects is None else source_group(config, dataset, bias, group)
        subjects = subjects_of(config, dataset, method, source)
        for index, subject in enumerate(subjects):
            images = total // len(subjects) + (index < total % len(subjects))
            result += [Shard(group, subject, start, min(start + size, images)) for start in range(0, images, size)]
    return result


def check_plan(config: Config) -> None:
    """Stop before the first job when a group is too small for what is asked of it, or something asked for is not there.

    Raises
    ------
    UserError
        Names the group, its size, what needs more and the keys that change it.
    """
    share, images = config.select.fraction, config.generate.images_per_group
    if round(share * images) < 1:
        raise UserError(
            f"select.fraction: {share:g} of generate.images_per_group ({images}) is no image at all; raise one of them"
        )
    ablated = config.ablations.method
    if not method_of(ablated).synthetic:
        raise UserError(f"ablations.method: {ablated} has no synthetic images to select from")
    if config.ablations.clusters and method_of(ablated).subjects != "cluster":
        raise UserError(f"ablations.clusters: {ablated} has no clusters; give [] or another ablations.method")
    for dataset in config.datasets:
        rows = (*config.methods, ablated)
        if config.datasets[dataset].prompts.ffr is None and any(method_of(row).own_prompts for row in rows):
            raise UserError(
                f"datasets.{dataset}.prompts.ffr: FFR has prompts of its own; give them or remove ffr from methods and "
                "ablations"
            )
        for bias in biases(config):
            counts = training_counts(config, dataset, bias)
            for group in trained_groups(config, dataset, bias):
                if counts[group] == 0:
                    raise UserError(
                        f"datasets.{dataset}: group {group}, its class's aligned one, has no training image at bias "
                        f"{bias}: its adapter would learn nothing; give it some in splits.train_counts"
                    )
            for method in methods_at(config, dataset, bias):
                if method_of(method).subjects == "cluster":
                    k = number_of_clusters(config, dataset, method)
                    _check_clusters(config, dataset, bias, method, k, f"datasets.{dataset}.clusters")
        for bias in map(str, config.ablations.biases):
            for k in config.ablations.clusters:
                _check_clusters(config, dataset, bias, ablated, k, "ablations.clusters")


def _check_clusters(config: Config, dataset: str, bias: str, method: str, k: int, key: str) -> None:
    """Refuse more clusters than a group has images for."""
    needed = config.subjects.min_cluster_size * k
    counts = training_counts(config, dataset, bias)
    for group in trained_groups(config, dataset, bias):
        if counts[group] < needed:
            raise UserError(
                f"datasets.{dataset}: group {group} has {counts[group]} training images at bias {bias}, {method} needs "
                f"{needed} ({config.subjects.min_cluster_size} for each of {k} clusters): lower {key} or raise "
                "swap.min_images_for_own_model"
            )
