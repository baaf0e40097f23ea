"""Infer the attribute of images that have a class and nothing else, and write a configuration that goes by it.

The data set's own configuration stays as it is. What was inferred becomes a table beside the data set's tables, and a
configuration of its own, ``NAME-words.yaml`` or ``NAME-xrm.yaml``, names it: a run like any other.
"""

from __future__ import annotations

import copy
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from fairdream.cli import runs
from fairdream.cli.new_dataset.layouts import INFERRED_TABLE
from fairdream.cli.new_dataset.section import parse_words
from fairdream.cli.run_snakemake import snakemake
from fairdream.config.root import Config, load_config, validate_config
from fairdream.data.groups import ORIGINAL, group_name
from fairdream.data.inferred import LIKE, WAYS
from fairdream.errors import UserError
from fairdream.methods import method_of
from fairdream.planning import inference, plan, preflight
from fairdream.runtime.files import write_if_changed, write_text

if TYPE_CHECKING:
    import pandas as pd

HEADER = """\
# yaml-language-server: $schema=schema.json
# {name} with an inferred attribute ({way}): written by `fairdream infer-attributes` of {files}, yours to edit.
# The attribute is not true, but inferred: see {page}.
"""


def show(run: runs.Run, way: str | None, dataset: str | None, stated: Sequence[str] = ()) -> None:
    """Infer an attribute, print what was found, and write its table and configuration.

    Parameters
    ----------
    stated
        Words of each value, in place of those of the configuration: ``land=on land,in a forest``, or ``on land`` alone.

    Raises
    ------
    UserError
        When the data set or the way is not one that there is; or what was inferred makes no run, and why.
    """
    config = runs.configuration_of(run)
    dataset = _dataset(config, run, dataset)
    if stated and way == inference.XRM:
        raise UserError("--words, and --by xrm, which goes by none: leave one out")
    source = _with_words(run, config, dataset, stated) if stated else run
    config = runs.configuration_of(source)
    way = _way(config, dataset, way)
    folder = Path(config.results, dataset, "inferred")
    snakemake([str(folder / f"{way}.md"), *source.arguments()])
    if not (folder / f"{way}.md").is_file():
        return  # a dry run
    print(f"\n{(folder / f'{way}.md').read_text(encoding='utf-8')}")
    print(f"The surest and the least sure images: {folder / f'{way}.png'}")
    print(write(run, config, dataset, way, runs.values_of(source)))


def _dataset(config: Config, run: runs.Run, dataset: str | None) -> str:
    if dataset is None and len(config.datasets) == 1:
        dataset = next(iter(config.datasets))
    if dataset not in config.datasets:
        told = "several data sets" if dataset is None else f"no data set {dataset}"
        raise UserError(f"{run.words} has {told}: choose --dataset of {', '.join(config.datasets)}")
    if config.datasets[dataset].inferred is not None:
        raise UserError(
            f"datasets.{dataset}: its attribute is inferred already; to infer it anew, name the configuration that "
            "this one was made of"
        )
    if config.datasets[dataset].missing_attribute == "drop":
        raise UserError(
            f"datasets.{dataset}.missing_attribute: images without an attribute are left out, and so could not be "
            "inferred; make a configuration without any: fairdream new-dataset NAME --attribute unknown"
        )
    return dataset


def _way(config: Config, dataset: str, way: str | None) -> str:
    there = inference.ways(config, dataset)
    if way is not None and way not in there:
        raise UserError(
            f"--by words: no words are known for the attribute of {dataset}; give those of each value, such as "
            '--words "land=on land,in a forest" --words "water=on water", or leave it to --by xrm'
        )
    return way or there[0]


def _with_words(run: runs.Run, config: Config, dataset: str, words: Sequence[str]) -> runs.Run:
    """Return the run of a configuration with other words, which is written among the results."""
    plain = runs.values_of(run)
    own = plain["datasets"][dataset].get("inference") or {}
    plain["datasets"][dataset]["inference"] = own | {"words": parse_words(words, "--words")}
    path = Path(config.results, dataset, "inferred/configuration.yaml")
    write_if_changed(path, yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=120))
    return runs.Run((str(path),), run.profile)


def write(run: runs.Run, config: Config, dataset: str, way: str, plain: dict[str, Any]) -> str:
    """Write the table and the configuration of what was inferred; return what is said of them.

    Parameters
    ----------
    plain
        The plain values that it was inferred with.

    Raises
    ------
    UserError
        When the configuration is no run, see `fairdream.planning.preflight`.
    """
    import pandas as pd

    own, folder = config.datasets[dataset], Path(config.results, dataset)
    rows = pd.read_csv(folder / f"inferred/{way}.csv", dtype=str, keep_default_na=False).astype({"confidence": float})
    index = pd.read_parquet(folder / "index.parquet").set_index("id").loc[rows["id"]]
    values = inference.values(config, dataset, way)
    rows = _with_true_test(rows, index["attribute"].tolist(), way, sorted(own.attributes) == values)
    rows.insert(0, "path", rows["id"].str.removeprefix(f"{own.images}/" if own.images else ""))
    table = Path(own.folder, INFERRED_TABLE.format(way=way))
    written = rows.drop(columns=["id", "label"])
    write_if_changed(table, written.to_csv(index=False, float_format="%.6g", lineterminator="\n"))
    name = run.words if re.fullmatch(r"[\w.-]+", run.words) else Path(run.configfiles[0]).stem
    target = Path("config", f"{name}-{way}.yaml")
    plain = configured(plain, dataset, way, table.name, rows, values)
    plain["results"] = f"results/{name}-{way}"
    if way == inference.XRM:
        plain["methods"] = _without_words(validate_config(plain, target), dataset)
    _bring_embeddings(config.results, plain["results"])
    text = yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=120)
    header = HEADER.format(name=dataset, way=WAYS[way], files=", ".join(run.configfiles), page=folder / "inferred")
    if target.exists() and target.read_text(encoding="utf-8") != header + text:
        print(f"The configuration that was there is now {target.replace(target.with_suffix('.yaml.old'))}")
    write_text(target, header + text)
    try:
        found = load_config(target)
        preflight.check(found)
    except UserError as error:
        raise UserError(f"{table} and {target} were written, but are not ready to run:\n{error}") from None
    return _last_words(table, target, found, dataset, way)


def _with_true_test(rows: pd.DataFrame, truth: list[str], way: str, comparable: bool) -> pd.DataFrame:
    """Return the rows with their source; where the values are those of a true attribute, the test keeps its own."""
    rows = rows.assign(source=way)
    if comparable:
        test = rows["split"] == "test"
        rows["attribute"] = rows["attribute"].where(~test, truth)
        rows["confidence"] = rows["confidence"].where(~test, 1.0)
        rows["source"] = rows["source"].where(~test, "given")
    return rows


def configured(
    plain: dict[str, Any], dataset: str, way: str, file: str, rows: pd.DataFrame, values: list[str]
) -> dict[str, Any]:
    """Return the plain values of a configuration whose one data set has its attribute, and its splits, from a table.

    XRM has no words for its values: prompts do without, but for the swap's, and biases that need the swap are left out.
    """
    plain = copy.deepcopy(plain)
    own = plain["datasets"][dataset]
    own["tables"] = [{**table, "attribute": None, "split": None} for table in own["tables"]]
    own["tables"].append({"file": file, "path": "path", "label": None, "attribute": "attribute", "split": "split"})
    own["origin"] = f"{own['origin'].strip()}; attributes inferred by {WAYS[way]}"
    for key in ("attribute_values", "split_values", "held_out", "splits"):
        own.pop(key, None)
    train = rows[rows["split"] == "train"]
    means = train.groupby(["label", "attribute"])["confidence"].agg(["size", "mean"])
    pairs = [(label, value) for label in own["labels"] for value in values]
    own["train_counts"] = {group_name(*pair): int(means["size"].get(pair, 0)) for pair in pairs}
    own["inferred"] = {
        "by": way,
        "true_test": bool((rows.loc[rows["split"] == "test", "source"] == "given").any()),
        "confidence": {group_name(*pair): round(float(means["mean"].get(pair, 0.0)), 4) for pair in pairs},
    }
    words = (own.pop("inference", None) or {}).get("words")
    if way == inference.WORDS:
        own["attributes"] = {value: words[value][0] for value in words} if words else own["attributes"]
        if words and own["prompts"].get("ffr"):
            own["prompts"]["ffr"]["attributes"] = words
    else:
        own["attributes"] = {f"{LIKE}{label}": f"like {words}" for label, words in own["labels"].items()}
        own["prompts"] = {
            key: text if key == "swapped" else _without_attribute(text)
            for key, text in own["prompts"].items()
            if key != "ffr"
        }
        plain["biases"] = ["original"]
    plain["datasets"] = {dataset: own}
    return plain


def _without_attribute(template: str) -> str:
    return re.sub(r",?\s*\{attribute\}", "", template)


def _without_words(config: Config, dataset: str) -> list[str]:
    """Return the rows that need no words for the attribute's values.

    Those that draw no image; and, where no group is swapped, those that draw each group's with adapters of its own.
    """

    def needs_none(name: str) -> bool:
        row = method_of(name)
        return not row.synthetic or (not swapped and row.subjects is not None and not row.mirrored)

    swapped = plan.swapped_groups(config, dataset, ORIGINAL)
    return [name for name in config.methods if needs_none(name)] or ["erm"]


def _bring_embeddings(before: str, now: str) -> None:
    """Copy the embeddings that are there to another run's store, where its jobs look for them: none is made twice."""
    source = Path(before, "store/embeddings")
    if source.is_dir() and before != now:
        shutil.copytree(source, Path(now, "store/embeddings"), dirs_exist_ok=True)


def _last_words(table: Path, target: Path, config: Config, dataset: str, way: str) -> str:
    """Return what was written and what to run next."""
    lines = [f"{table} was written: attribute, confidence and split of each image.", f"{target} goes by it."]
    swapped = plan.swapped_groups(config, dataset, plan.biases(config)[0])
    if swapped:
        lines.append(f"Without an adapter of their own, for too few sure images: {', '.join(swapped)}.")
        if way == inference.XRM:
            lines.append(
                "XRM has no words that the swap could draw them by, so rows that draw images are left out. To have "
                "them, name the attribute's values with --words."
            )
    run = target.stem
    return "\n".join(
        [
            *lines,
            "Next, after a look at the sheet:",
            f"  fairdream audit {run}    # which method fits; holds the table against the images",
            f"  fairdream plan {run}     # every job, and the hours, before they are spent",
            f"  fairdream run {run}",
        ]
    )
