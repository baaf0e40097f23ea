"""Table 3: what each generative method costs, in theory and as measured, against what it reaches."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairdream.config.base import Section
from fairdream.methods import METHODS, base_of
from fairdream.reporting.aggregate import AVERAGE, summary
from fairdream.reporting.benchmark_files import read
from fairdream.runtime.files import atomic, write_text

if TYPE_CHECKING:
    import pandas as pd

COMPLEXITY = {None: "O(1)", "group": "O(G)", "cluster": "O(G k)"}
STAGES = ("finetune", "generate", "score")


class CostJob(Section):
    """Where the benchmarks lie."""

    benchmarks: str


def cost(metrics: list[str], csv: str, markdown: str, config: CostJob) -> None:
    """Write hours of each method's fine-tuning, generation and scoring beside its accuracies.

    Accuracies are averaged over data sets and biases. Hours are the wall time of the jobs, each on one GPU, as
    Snakemake's benchmark files have them: what this run paid, so an adapter or a shard that another bias or an earlier
    run had made counts nothing.
    """
    import pandas as pd

    table = summary(metrics)
    table = table[table["synthetic"] & (table["bias"] != AVERAGE)]
    hours = measured_hours(Path(config.benchmarks))
    rows = []
    for method in [name for name in METHODS if name in set(table["method"]) and not METHODS[name].mirrored]:
        own = table[table["method"] == method]
        row: dict[str, Any] = {"method": method, "complexity": COMPLEXITY[METHODS[method].subjects]}
        row |= {f"{stage}_hours": hours.get((stage, method), 0.0) for stage in STAGES}
        row["hours"] = sum(row[f"{stage}_hours"] for stage in STAGES)
        rows.append(row | {"wga": own["wga_mean"].mean(), "aga": own["aga_mean"].mean()})
    result = pd.DataFrame(rows)
    with atomic(csv) as path:
        result.to_csv(path, index=False, float_format="%.4f", lineterminator="\n")
    write_text(markdown, _markdown(result))


def measured_hours(folder: Path) -> dict[tuple[str, str], float]:
    """Return the hours by stage and method; benchmark files are named ``{dataset}-{bias}-{method}-….jsonl``."""
    hours: dict[tuple[str, str], float] = {}
    for stage in STAGES:
        for path, record in read(folder, stage):
            method = base_of(path.stem.split("-")[2])
            hours[stage, method] = hours.get((stage, method), 0.0) + record["s"] / 3600
    return hours


def _markdown(table: pd.DataFrame) -> str:
    lines = [
        "| Method | Fine-tunings | Fine-tuning h | Generation h | Scoring h | WGA | AGA |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    marked = {number: _marked(table[number]) for number in ("wga", "aga")}
    for position, row in enumerate(table.to_dict("records")):
        cells = [METHODS[row["method"]].title, row["complexity"]]
        cells += [f"{row[f'{stage}_hours']:.3g}" for stage in STAGES]
        cells += [marked[number][position] for number in marked]
        lines.append("| " + " | ".join(cells) + " |")
    note = (
        "G: groups, k: clusters a group. Hours of one GPU (without one, of a CPU core) that this run paid; what stood "
        "there already counts nothing. Accuracies in per cent, averaged over data sets and biases; best "
        "in bold, second underlined."
    )
    return "\n".join([*lines, "", note]) + "\n"


def _marked(values: pd.Series) -> list[str]:
    """Return accuracies as text, best bold and second underlined, as they are rounded."""
    rounded = values.round(1)
    marks = {1: "**{}**", 2: "<u>{}</u>"} if len(rounded) > 1 else {}
    ranks = rounded.rank(ascending=False, method="min")
    return [marks.get(int(rank), "{}").format(f"{value:.1f}") for value, rank in zip(values, ranks, strict=True)]
