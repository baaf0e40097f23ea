"""The audit of a training set: how label and attribute hang together, and which groups are too small for what.

It reads the index and the split of each bias, so it is there before any job with a GPU begins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fairdream.bias import ORIGINAL, attribute_of, group_name, label_of
from fairdream.fields import Section
from fairdream.files import atomic, write_text
from fairdream.job import LOGGER

if TYPE_CHECKING:
    import pandas as pd

NEGLIGIBLE = 0.1  # Cohen's bound of a small effect (w = 0.1; for two labels or two attributes w is Cramér's V)
# Mean worst-group accuracy of the paper's Table 1 over its three data sets: original, ratio 0.999. Reasons cite them.
PAPER = {"clusters": (82.7, 75.5), "subjects": (76.4, 76.0), "groups": (87.3, 27.1)}

VERDICTS = (
    "few: it works, with fewer images than it is made for; swapped: no adapter, the images come from the aligned group "
    "of the class; too small: the run stops before its first job.\n"
)


class AuditJob(Section):
    """What the audit needs beside the tables; see `fairdream.advice.advice`."""

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
        Outputs: a CSV row a bias and group; a CSV row a bias.
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
        texts.append(_page_of(bias, counts, found, verdicts, suggested, config))
    table = pd.DataFrame(rows)
    for path, content in ((groups, table), (association, pd.DataFrame(measures))):
        with atomic(path) as temporary:
            content.to_csv(temporary, index=False, float_format="%.6g", lineterminator="\n")
    text = "\n".join([f"# Is {config.dataset} biased?\n", *texts])
    write_text(markdown, text)
    LOGGER.info("%s", text)
    _draw(table, figure)


def count(table: pd.DataFrame, config: AuditJob) -> pd.DataFrame:
    """Return the images of each group (rows, sorted) in each split (columns); 0 where there is none."""
    names = sorted(group_name(y, a) for y in config.labels for a in config.attributes)
    counts = table.groupby(["group", "split"]).size().unstack(fill_value=0)
    return counts.reindex(index=names, columns=["train", "validation", "test"], fill_value=0)


def measure(train: pd.Series, aligned: dict[str, str]) -> dict[str, Any]:
    """Return how label and attribute hang together in a training set.

    Parameters
    ----------
    train
        Images by group.
    aligned
        Each label's aligned group.

    Returns
    -------
    dict
        `images`; `cramers_v` (Cramér 1946, p. 282): sqrt(chi² / (n min(r - 1, c - 1))), 0 for independence, 1 where one
        fixes the other; `p_value` of the chi² test of independence; `bias_ratio`: the share of aligned images, and
        `lowest_bias_ratio`, that of the class where it is lowest; `attribute_only`: the accuracy of naming each
        attribute's most frequent label; `majority`: that of always naming the most frequent label; `smallest`, the
        smallest group, and `smallest_images`; `expected`: by group, the images under independence.
    """
    import numpy as np
    from scipy.stats import chi2_contingency
    from scipy.stats.contingency import association

    labels = list(dict.fromkeys(map(label_of, train.index)))
    attributes = list(dict.fromkeys(map(attribute_of, train.index)))
    cells = np.array([[int(train.get(group_name(y, a), 0)) for a in attributes] for y in labels])
    total = cells.sum()
    expected = np.outer(cells.sum(1), cells.sum(0)) / total
    # a label or attribute without an image says nothing about the association of the others
    filled = cells[cells.sum(1) > 0][:, cells.sum(0) > 0]
    both = min(filled.shape) > 1
    of_class = {y: int(train[aligned[y]]) / max(1, int(row.sum())) for y, row in zip(labels, cells, strict=True)}
    return {
        "images": int(total),
        "cramers_v": float(association(filled, method="cramer")) if both else 0.0,
        "p_value": float(chi2_contingency(filled, correction=False).pvalue) if both else 1.0,
        "bias_ratio": float(sum(int(train[aligned[y]]) for y in labels) / total),
        "lowest_bias_ratio": min(of_class.values()),
        "attribute_only": float(cells.max(axis=0).sum() / total),
        "majority": float(cells.sum(axis=1).max() / total),
        "smallest": str(train.idxmin()),
        "smallest_images": int(train.min()),
        "expected": {
            group_name(y, a): float(expected[i, j]) for i, y in enumerate(labels) for j, a in enumerate(attributes)
        },
    }


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
            "images enough for an adapter: look at its worst group before any image is drawn"
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
            reason += f". {', '.join(swapped)}: too few images for an adapter, so a swap of prompts draws them"
            beside = [own for own in config.methods if own["kind"] == "mirrored"]
        elif train.min() >= config.small_group:
            reason += f". {told['title']} draws no image and had {PAPER['groups'][severe]} there: run it too"
            beside = [told]
    return {
        "k": k,
        "k_reason": why_k,
        "method": method["name"],
        "method_reason": reason,
        "beside": " ".join(own["name"] for own in beside),
    }


def _of_kind(config: AuditJob, kind: str) -> dict[str, Any]:
    """Return the first method of a kind; see `fairdream.advice.kind_of`."""
    return next(own for own in config.methods if own["kind"] == kind)


def _page_of(
    bias: str,
    counts: pd.DataFrame,
    found: dict[str, Any],
    verdicts: dict[str, dict[str, str]],
    suggested: dict[str, Any],
    config: AuditJob,
) -> str:
    """Return what is told of one bias, as Markdown that reads on a terminal too."""
    train = counts["train"]
    groups = [["group", "", "train", "of class", "if independent", "validation", "test"]]
    for name, row in counts.iterrows():
        own = [other for other in counts.index if label_of(other) == label_of(str(name))]
        kind = "aligned" if config.aligned[label_of(str(name))] == name else "conflicting"
        share = row["train"] / max(1, train[own].sum())
        numbers = [f"{row['train']:,}", f"{share:.1%}", f"{found['expected'][name]:,.1f}"]
        groups.append([str(name), kind, *numbers, f"{row['validation']:,}", f"{row['test']:,}"])
    methods = [["method", "made for", *counts.index]]
    reasons: dict[str, list[str]] = {}
    for method in config.methods:
        advised = f"{method['advised']:,} images" if method["advised"] else "any number"
        methods.append([method["name"], advised, *(verdicts[method["name"]][name] for name in counts.index)])
        reasons.setdefault(method["why"], []).append(method["name"])
    small = [f"{name} {n}" for name, n in counts["test"].items() if n < config.small_group]
    biased = found["cramers_v"] >= NEGLIGIBLE
    lines = [
        f"## Bias {bias}: {'yes' if biased else 'hardly'}\n",
        f"Label and attribute {'go' if biased else 'hardly go'} together: {found['bias_ratio']:.1%} of the training "
        "images have the attribute that goes with their class.\n",
        _table(groups, right=range(2, 7)),
        f"\n- Cramér's V of label and attribute: {found['cramers_v']:.3f} (0: independent, 1: one tells the other; "
        f"chi² test: p {_p_value(found['p_value'])}).",
        f"- Bias ratio: {found['bias_ratio']:.2%} of the images are aligned; in the class where it is lowest "
        f"{found['lowest_bias_ratio']:.2%}.",
        f"- The attribute alone names the label of {found['attribute_only']:.1%} of the training images; always the "
        f"most frequent label: {found['majority']:.1%}.",
        f"- Smallest group: {found['smallest']}, {found['smallest_images']:,} images.",
    ]
    if small:
        lines.append(
            f"- Test groups of fewer than {config.small_group} images, whose accuracy says little: {', '.join(small)}."
        )
    beside = f" Beside it: {suggested['beside'].replace(' ', ', ')}." if suggested["beside"] else ""
    return "\n".join(
        [
            *lines,
            f"- **Suggested method: {suggested['method']}**: {suggested['method_reason']}.{beside}",
            f"- **Suggested k: {suggested['k']}**: {suggested['k_reason']}.",
            "\nWhich groups are large enough for which method:\n",
            _table(methods, right=()),
            f"\n{VERDICTS}",
            *(f"- {', '.join(names)}: {why}." for why, names in reasons.items()),
            "",
        ]
    )


def _p_value(value: float) -> str:
    return f"= {value:.2g}" if value > 1e-16 else "< 1e-16"


def _table(rows: list[list[str]], right: Any) -> str:
    """Return a Markdown table whose columns stand in line, as a terminal needs it."""
    widths = [max(3, *map(len, column)) for column in zip(*rows, strict=True)]
    rule = ["-" * (width - 1) + (":" if place in right else "-") for place, width in enumerate(widths)]
    lines = [
        [
            cell.rjust(w) if place in right else cell.ljust(w)
            for place, (cell, w) in enumerate(zip(row, widths, strict=True))
        ]
        for row in rows
    ]
    return "\n".join("| " + " | ".join(line) + " |" for line in [lines[0], rule, *lines[1:]])


def _draw(table: pd.DataFrame, figure: str) -> None:
    """Draw the training images of each group, a bar a bias, on a logarithmic axis."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    groups, biases = list(table["group"].unique()), list(table["bias"].unique())
    canvas, axis = plt.subplots(figsize=(2 + 1.1 * len(groups), 3.6))
    width = 0.8 / len(biases)
    for place, bias in enumerate(biases):
        numbers = table[table["bias"] == bias].set_index("group")["train"].reindex(groups)
        at = [n + (place - (len(biases) - 1) / 2) * width for n in range(len(groups))]
        axis.bar_label(axis.bar(at, numbers, width, label=bias), fmt="{:,.0f}", fontsize=7)
    axis.set(xticks=range(len(groups)), yscale="log", ylabel="training images", title=table["dataset"].iloc[0])
    axis.set_xticklabels(groups, rotation=20, ha="right")
    axis.margins(y=0.15)
    axis.legend(title="bias")
    canvas.tight_layout()
    with atomic(figure) as path:
        canvas.savefig(path, dpi=110)
    plt.close(canvas)
