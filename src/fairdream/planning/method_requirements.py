"""What each method needs of a group, by the table of methods and the configuration; nothing here reads data.

The stage `audit` compares these numbers with the counts that it finds. An adapter is meant to see about
`subjects.images_per_cluster` images: that number is what the paper's rule for k divides by (section 4.2).
"""

from __future__ import annotations

from typing import Any

from fairdream.config.root import Config
from fairdream.data.groups import aligned_groups
from fairdream.methods import METHODS, Method, method_of
from fairdream.planning import plan


def advice(config: Config, dataset: str) -> dict[str, Any]:
    """Return all that an audit of a data set reads of the configuration, as plain values."""
    own, values = config.datasets[dataset], config.subjects
    return {
        "aligned": aligned_groups(own.train_counts),
        "attributes": list(own.attributes),
        "biases": plan.biases(config),
        "clusters": {
            "images_per_cluster": values.images_per_cluster,
            "max_clusters": values.max_clusters,
            "min_cluster_size": values.min_cluster_size,
            "smallest": min(filter(None, own.train_counts.values())),
            "stated": own.clusters,
        },
        "dataset": dataset,
        "labels": list(own.labels),
        "methods": [_needs(config, dataset, name) for name in _asked(config)],
        "small_group": config.uncertainty.small_group,
        "swapped": {bias: plan.swapped_groups(config, dataset, bias) for bias in plan.biases(config)},
    }


def _asked(config: Config) -> list[str]:
    """Return the paper's rows and the run's, each once."""
    return [name for name, row in METHODS.items() if not row.beyond or name in config.methods]


def _needs(config: Config, dataset: str, name: str) -> dict[str, Any]:
    """Return what a method needs of each group that it learns from."""
    row = method_of(name)
    adapters = plan.number_of_clusters(config, dataset, name) if row.subjects == "cluster" else 1
    minimum, advised, why = (
        1,
        config.uncertainty.small_group,
        "of fewer images it learns a group by heart, or passes it over",
    )
    if row.synthetic and row.subjects is None:
        minimum, advised, why = 0, 0, "its images come from the base model alone"
    elif row.synthetic:
        # clusters must be filled or the plan stops; a group for one adapter is swapped below the minimum instead
        each = config.subjects.min_cluster_size if row.subjects == "cluster" else config.swap.min_images_for_own_model
        minimum, advised = each * adapters, config.subjects.images_per_cluster * adapters
        why = f"{config.subjects.images_per_cluster} images for each of {adapters} adapter(s) of the group"
        if row.sample == "smallest":
            why += "; every adapter learns from as many images as the smallest group with an adapter has"
    elif row.batches == "group":
        why = "a small group's images stand in every batch and are learnt by heart"
    return {
        "adapters": bool(row.subjects),
        "advised": advised,
        "clustered": row.subjects == "cluster",
        "in_run": name in config.methods,
        "kind": kind_of(row),
        "minimum": minimum,
        "name": name,
        "title": row.title,
        "why": why,
    }


def kind_of(row: Method) -> str:
    """Return what sort of method a row is, by its columns: what a suggestion is made of.

    ``plain``: the real images as they come; ``groups``: the real images with their groups told to the loss;
    ``clusters``, ``subjects``: adapters with a token, of clusters and of whole groups; ``mirrored``; ``other``.
    """
    if not row.synthetic:
        if row.loss == "gdro":
            return "groups"
        return "plain" if (row.loss, row.batches, row.recipe) == ("ce", "all", "stage1_only") else "other"
    if row.stage1_of:
        return "other"
    if row.mirrored:
        return "mirrored"
    if row.token:
        return "clusters" if row.subjects == "cluster" else "subjects"
    return "other"
