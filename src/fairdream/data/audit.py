"""The audit of a training set: how label and attribute hang together, and which groups are too small for what.

It reads the index and the split of each bias, so it is there before any job with a GPU begins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fairdream.config.base import Section
from fairdream.data.association import NEGLIGIBLE, measure
from fairdream.data.audit_page import audit_page, draw_audit, title_of
from fairdream.data.groups import ORIGINAL, group_name, label_of
from fairdream.runtime.files import atomic, write_text
from fairdream.runtime.job import LOGGER

if TYPE_CHECKING:
    import pandas as pd

# Mean worst-group accuracy of the paper's Table 1 over its three data sets: original, ratio 0.999. Reasons cite them.
PAPER = {"clusters": (82.7, 75.5), "subjects": (76.4, 76.0), "groups": (87.3, 27.1)}


class AuditJob(Section):
    """What the audit needs beside the tables; see `fairdream.planning.method_requirements.advice`."""

    dataset: str
    biases: list[str]
    labels: list[str]
    attributes: list[str]
    aligned: dict[str, str]
    swapped: dict[str, list[str]]
    clusters: dict[str, Any]
    methods: list[dict[str, Any]]
    small_group: int


def audit(splits: list[str], groups: str, association: str, markdown: str, figure: str, config: AuditJob) -> None:
    """Write the audit of a data set as two tables, a page and a figure.

    Parameters
    ----------
    splits
        The split of each bias of `config.biases`, in that order.
    groups, association
        Outputs: one CSV row per bias and group; one CSV row per bias.
    """
    import pandas as pd

    rows, measures, texts = [], [], []
    for bias, path in zip(config.biases, splits, strict=True):
        counts = count(pd.read_parquet(path, columns=["split", "group"]), config)
        found = measure(counts["train"], config.aligned)
        swapped = config.swapped[bias]
        verdicts = {own["name"]: verdicts_of(own, counts["train"], swapped) for own in config.methods}
        for name in counts.index:
            label, numbers = label_of(name), counts.loc[name]
            rows.append(
                {
                    "dataset": config.dataset,
                    "bias": bias,
                    "group": name,
                    "aligned": config.aligned[label] == name,
                    **{split: int(numbers[split]) for split in ("train", "validation", "test")},
                    "share_of_class": numbers["train"] / counts.loc[counts.index.map(label_of) == label, "train"].sum(),
                    "expected": found["expected"][name],
                    **{method: own[name] for method, own in verdicts.items()},
                }
            )
        suggested = suggest(bias, counts["train"], found["cramers_v"], config)
        numbers = {key: value for key, value in found.items() if key != "expected"}
        measures.append({"dataset": config.dataset, "bias": bias, **numbers, **suggested})
        texts.append(audit_page(bias, counts, found, verdicts, suggested, config))
    table = pd.DataFrame(rows)
    for path, content in ((groups, table), (association, pd.DataFrame(measures))):
        with atomic(path) as temporary:
            content.to_csv(temporary, index=False, float_format="%.6g", lineterminator="\n")
    text = "\n".join([f"# {title_of(config.dataset)}\n", *texts])
    write_text(markdown, text)
    LOGGER.info("%s", text)
    draw_audit(table, figure)


def count(table: pd.DataFrame, config: AuditJob) -> pd.DataFrame:
    """Return the images of each group (rows, sorted) in each split (columns); 0 where there is none."""
    names = sorted(group_name(y, a) for y in config.labels for a in config.attributes)
    counts = table.groupby(["group", "split"]).size().unstack(fill_value=0)
    return counts.reindex(index=names, columns=["train", "validation", "test"], fill_value=0)


def verdicts_of(method: dict[str, Any], train: pd.Series, swapped: list[str]) -> dict[str, str]:
    """Return what a method makes of each group.

    ``ok``; ``few``: it works, with fewer images than it is made for; ``swapped``: no adapter of its own, its images
    come from the aligned group of its class; ``too small``: the plan stops before the first job; ``none``: no image.
    """

    def verdict(group: str) -> str:
        if method["adapters"] and group in swapped:
            return "swapped"
        if train[group] < method["minimum"]:
            return "none" if train[group] == 0 else "too small"
        return "ok" if train[group] >= method["advised"] else "few"

    return {str(group): verdict(str(group)) for group in train.index}


def clusters_for(train: pd.Series, swapped: list[str], rule: dict[str, Any]) -> tuple[int, str]:
    """Return the suggested number of clusters k and its reason.

    The paper's max(1, min(round(M / 20), 20)), M the smallest group at the original bias (section 4.2), and never more
    than the smallest group with an adapter can fill.
    """
    each, most, least = rule["images_per_cluster"], rule["max_clusters"], rule["min_cluster_size"]
    smallest = rule["smallest"]
    k = max(1, min(round(smallest / each), most))
    reason = f"k = max(1, min(round({smallest:,} / {each}), {most})) = {k}, of the smallest group at the original bias"
    own = train.drop(swapped)
    room = max(1, int(own.min()) // least)
    if room < k:
        reason += f"; but {own.idxmin()} has {own.min()} images here, room for {room} cluster(s) of {least}"
        k = room
    stated = rule["stated"]
    if stated is not None and stated != k:
        reason += f" (the configuration says {stated})"
    return k, reason


def suggest(bias: str, train: pd.Series, cramers_v: float, config: AuditJob) -> dict[str, Any]:
    """Return `k`, `k_reason`, `method`, `method_reason` and `beside`: rows worth running next to the suggested one."""
    swapped = config.swapped[bias]
    k, why_k = clusters_for(train, swapped, config.clusters)
    severe = int(bool(swapped) and bias != ORIGINAL)
    clustered, single = (_of_kind(config, kind) for kind in ("clusters", "subjects"))
    told, beside = _of_kind(config, "groups"), []
    if cramers_v < NEGLIGIBLE and not swapped:
        method = _of_kind(config, "plain")
        reason = (
            f"label and attribute hardly go together (Cramér's V {cramers_v:.2f} < {NEGLIGIBLE}), and every group has "
            "images enough for an adapter: look at its worst group before any image is generated"
        )
        beside = [clustered if k > 1 else single]
    else:
        if k > 1:
            method = clustered
            reason = (
                f"k = {k} is more than one cluster, and in the paper's Table 1 it is ahead of {single['title']} on two "
                f"of three data sets at {'ratio 0.999' if severe else 'the original bias'} (mean worst-group accuracy "
                f"{PAPER['clusters'][severe]} and {PAPER['subjects'][severe]})"
            )
        else:
            method = single
            reason = "the smallest group fills one cluster alone, and one cluster is the group"
        if swapped:
            reason += f". {', '.join(swapped)}: too few images for an adapter, so a swap of prompts generates them"
            beside = [own for own in config.methods if own["kind"] == "mirrored"]
        elif train.min() >= config.small_group:
            reason += f". {told['title']} generates no image and had {PAPER['groups'][severe]} there: run it first"
            beside = [told]
    return {
        "k": k,
        "k_reason": why_k,
        "method": method["name"],
        "method_reason": reason,
        "beside": " ".join(own["name"] for own in beside),
    }


def _of_kind(config: AuditJob, kind: str) -> dict[str, Any]:
    """Return the first method of a kind; see `fairdream.planning.method_requirements.kind_of`."""
    return next(own for own in config.methods if own["kind"] == kind)
