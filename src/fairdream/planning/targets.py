"""What each target asks for, as paths below the results folder: which tables, figures, audits and pages a run has.

They follow from the configuration alone, but for the two that must not begin work that no one asked for: those also
look at what is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fairdream.config.root import Config
from fairdream.methods import method_of
from fairdream.planning import inference, plan

# Table 2: Group-DRO alone, and after stage 1 on synthetic images.
TABLE2 = ("gdro", "clustered_dreambooth_gdro")


def metrics(config: Config, rows: Sequence[str], biases: Sequence[str] = ()) -> list[str]:
    """Return the metrics of rows, where they exist, at some biases; none named: at all."""
    return [
        f"{config.results}/{own.path(dataset, bias, seed)}.metrics.json"
        for dataset in config.datasets
        for bias in biases or plan.biases(config)
        for row in rows
        if plan.exists_at(config, dataset, bias, row)
        for own in plan.classifiers(config, row)
        for seed in config.seeds
    ]


def table1_metrics(config: Config) -> list[str]:
    """Return the metrics of the run's rows: what Table 1, Table 3 and the intervals tell of."""
    return metrics(config, config.methods)


def table1_predictions(config: Config) -> list[str]:
    """Return the predictions on the test set behind the metrics of Table 1."""
    return [path.replace(".metrics.json", ".predictions.parquet") for path in table1_metrics(config)]


def table2_metrics(config: Config) -> list[str]:
    """Return the metrics of Table 2: at severe biases, or at all where none is severe."""
    return metrics(config, TABLE2, plan.severe_biases(config))


def ablation_metrics(config: Config) -> list[str]:
    """Return the metrics of the ablations, each once, in the order of their table."""
    return [
        f"{config.results}/{own.path(dataset, bias, seed)}.metrics.json"
        for dataset in config.datasets
        for bias in map(str, config.ablations.biases)
        for own in dict.fromkeys(setting.classifier for setting in plan.ablations(config, dataset, bias))
        for seed in config.seeds
    ]


def tables(config: Config) -> list[str]:
    """Return the tables; Table 2 only where a bias is severe."""
    names = ["table1", "table3", "ablations", "uncertainty"] + (["table2"] if plan.severe_biases(config) else [])
    return [f"{config.results}/tables/{name}.csv" for name in names]


def figures(config: Config) -> list[str]:
    """Return the figures: the two of the tables, and at each bias those of its methods and groups."""
    names = ["bias", "cost"]
    for dataset in config.datasets:
        for bias in plan.biases(config):
            for method in plan.methods_at(config, dataset, bias):
                names += _figures_of(method, f"{dataset}-{bias}")
            if plan.compared_methods(config):
                names += [f"compare-{dataset}-{bias}-{group}" for group in plan.groups(config, dataset)]
    return [f"{config.results}/figures/{name}.png" for name in names]


def _figures_of(method: str, here: str) -> list[str]:
    """Return the names of the figures of a method's images and clusters; a row that borrows either has none of it."""
    row, names = method_of(method), []
    if row.synthetic and not row.stage1_of:
        names.append(f"{here}-{method}")
        names += [f"scores-{here}-{method}"] if row.selection == "clip" else []
    if row.subjects == "cluster" and not row.adapters_of and not row.stage1_of:
        names.append(f"clusters-{here}-{method}")
    return names


def training_curves(config: Config) -> list[str]:
    """Return the training curves: one figure for each method with adapters of its own."""
    return [
        f"{config.results}/figures/training-{dataset}-{bias}-{method}.png"
        for dataset in config.datasets
        for bias in plan.biases(config)
        for method in plan.compared_methods(config)
        if plan.exists_at(config, dataset, bias, method)
    ]


def audits(config: Config) -> list[str]:
    """Return the audits of all training sets and of all images."""
    names = [f"{dataset}/audit.md" for dataset in config.datasets]
    names += [f"{dataset}/{bias}/{method}/quality.csv" for dataset, bias, method in _audited_images(config)]
    return [f"{config.results}/{name}" for name in names]


def _audited_images(config: Config) -> list[tuple[str, str, str]]:
    """Return data set, bias and method of all images that an audit looks at."""
    return [
        (dataset, bias, method)
        for dataset in config.datasets
        for bias in plan.biases(config)
        for method in plan.methods_at(config, dataset, bias)
        if method_of(method).synthetic and not method_of(method).stage1_of
    ]


def fetched_datasets(config: Config) -> list[str]:
    """Return the receipts of the data sets that can be fetched."""
    return [f"{config.results}/{name}/fetched.json" for name, own in config.datasets.items() if own.download]


def inferred(config: Config) -> list[str]:
    """Return the page of each data set's attribute, inferred in each way that there is."""
    return [
        f"{config.results}/{dataset}/inferred/{way}.md"
        for dataset in config.datasets
        for way in inference.ways(config, dataset)
    ]


def report_pages(config: Config) -> list[str]:
    """Return the pages that Table 1's run has, and those of other tables whose classifiers are there already.

    A report must not begin to train what its reader did not ask for.
    """
    names = ["table1", "table3", "uncertainty", "hours", "configuration", "versions"]
    more = {"ablations": ablation_metrics(config)}
    if plan.severe_biases(config):
        more["table2"] = table2_metrics(config)
    names += [name for name, needed in more.items() if all(Path(path).is_file() for path in needed)]
    return [f"{config.results}/tables/{name}.html" for name in names]


def report_audits(config: Config) -> list[str]:
    """Return the audits of the training sets, and of images whose scores Table 1's run has.

    FFR's images are selected without CLIP: scoring them takes a GPU, so they are shown where `audits` was asked for.
    """
    names = [f"{config.results}/{dataset}/audit.html" for dataset in config.datasets]
    for dataset, bias, method in _audited_images(config):
        audit = f"{config.results}/{dataset}/{bias}/{method}/quality.csv"
        names += [audit] if method_of(method).selection == "clip" or Path(audit).is_file() else []
    return names
