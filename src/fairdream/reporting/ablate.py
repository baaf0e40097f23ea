"""The ablation table: each setting's worst-group and average accuracy."""

from __future__ import annotations

import json
from pathlib import Path

from fairdream.config.base import Section
from fairdream.runtime.files import atomic, write_text


class Line(Section):
    """One line of the table: a setting and its metrics."""

    dataset: str
    bias: str
    ablation: str
    setting: str
    metrics: list[str]


class AblateJob(Section):
    """The lines."""

    lines: list[Line]


def ablate(csv: str, markdown: str, config: AblateJob) -> None:
    """Write mean and population standard deviation over the seeds of each line, in per cent."""
    import pandas as pd

    rows = []
    for line in config.lines:
        tests = [json.loads(Path(path).read_text(encoding="utf-8"))["test"] for path in line.metrics]
        row = line.model_dump(exclude={"metrics"}) | {"seeds": len(tests)}
        for number in ("wga", "aga"):
            values = pd.Series([test[number] for test in tests])
            row |= {f"{number}_mean": values.mean(), f"{number}_std": values.std(ddof=0)}
        rows.append(row)
    table = pd.DataFrame(rows)
    with atomic(csv) as path:
        table.to_csv(path, index=False, float_format="%.4f", lineterminator="\n")
    lines = ["| Dataset | Bias | Ablation | Setting | WGA | AGA |", "| --- | --- | --- | --- | ---: | ---: |"]
    for row in rows:
        cells = [row["dataset"], row["bias"], row["ablation"], row["setting"]]
        cells += [f"{row[f'{number}_mean']:.1f} ± {row[f'{number}_std']:.1f}" for number in ("wga", "aga")]
        lines.append("| " + " | ".join(cells) + " |")
    write_text(markdown, "\n".join(lines) + "\n")
