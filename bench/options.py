"""What faster drawing costs in quality: `python bench/options.py [--method dreambooth]`, after `make demo`.

For each option of sampling, a copy of the demo's results loses the method's images and what follows from them; they are
drawn, scored, selected and trained on anew. A row has the images a second that a job draws, from the benchmark files of
the jobs; the mean over groups of the kernel distance to the real images (docs/audits.md); and the worst-group accuracy
at each bias, mean and standard deviation over the classifier's seeds. Nothing else should run meanwhile.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from project import ROOT, copy_project

RESULTS, DATASET = "results/demo", "waterdigits"


class Option(NamedTuple):
    """Values of `generate` that differ from the demo's, and variables of the environment."""

    name: str
    values: dict[str, Any]
    environment: dict[str, str]


def options(steps: int) -> list[Option]:
    """Return the options, from the number of denoising steps of the demo."""
    return [
        Option(f"as in the demo: DPM-Solver++, {steps} steps, guidance in the first of them", {}, {}),
        Option("guidance in all steps", {"guidance_interval": None}, {}),
        Option(f"{steps // 2} steps", {"num_inference_steps": steps // 2}, {}),
        Option(f"{2 * steps} steps", {"num_inference_steps": 2 * steps}, {}),
        Option(f"DDIM, {2 * steps} steps", {"num_inference_steps": 2 * steps, "scheduler": "DDIMScheduler"}, {}),
        # last: on a CPU each job compiles for longer than it draws
        Option("compiled UNet", {}, {"FAIRDREAM_COMPILE": "1"}),
    ]


def measure(option: Option, method: str, folder: Path) -> list[str]:
    """Draw anew with an option in a copy of the project; return the cells of its row."""
    import pandas as pd

    copy_project(folder, "resources", RESULTS, ".snakemake/metadata")
    values = yaml.safe_load((folder / "config/demo.yaml").read_text())
    values["methods"] = ["erm", method]
    values["generate"].update(option.values)
    (folder / "config/demo.yaml").write_text(yaml.safe_dump(values))
    shutil.rmtree(folder / RESULTS / "store/shards", ignore_errors=True)
    here = [folder / RESULTS / DATASET / str(bias) / method for bias in values["biases"]]
    for own in here:
        for what in ("images", "scores", "selected", "classifiers"):
            shutil.rmtree(own / what, ignore_errors=True)
    targets = [f"{RESULTS}/tables/table1.csv", *(f"{own.relative_to(folder)}/quality.csv" for own in here)]
    command = [
        sys.executable,
        "-m",
        "fairdream.runtime.warm_server",
        sys.executable,
        "-m",
        "snakemake",
        "--profile",
        "profiles/demo",
    ]
    environment = {**os.environ, "PYTHONPATH": str(folder / "src"), **option.environment}
    done = subprocess.run([*command, *targets], cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{option.name}: {done.stdout[-3000:]}{done.stderr[-3000:]}")
    seconds, images = 0.0, 0
    for own in (folder / RESULTS / "benchmarks/generate").glob(f"{DATASET}-*-{method}-*.jsonl"):
        if "the same images stand in" in (folder / RESULTS / "logs/generate" / f"{own.stem}.log").read_text():
            continue  # copied: an aligned group is the same at both biases
        record = json.loads(own.read_text().splitlines()[-1])
        first, last = map(int, record["wildcards"]["shard"].split("-"))
        seconds, images = seconds + record["s"], images + last - first
    table = pd.read_csv(folder / RESULTS / "tables/table1.csv")
    rows = table[table["method"] == method].set_index("bias")
    cells = [option.name, f"{images / seconds:.1f}"]
    for bias, own in zip(values["biases"], here, strict=True):
        distance = pd.read_csv(own / "quality.csv")["kernel_distance"].mean()
        row = rows.loc[str(bias)]
        cells += [f"{distance:.3f}", f"{row['wga_mean']:.1f} ± {row['wga_std']:.1f}"]
    return cells


def main() -> None:
    """Print one row per option."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--method", default="dreambooth")
    own = parser.parse_args()
    if not (ROOT / RESULTS / "tables/table1.csv").is_file():
        parser.error("run `make demo` first: its adapters are what is drawn with")
    config = yaml.safe_load((ROOT / "config/demo.yaml").read_text())
    heads = [f"{what}, {bias}" for bias in config["biases"] for what in ("kernel distance", "WGA")]
    print(f"| {own.method} | images a second | {' | '.join(heads)} |\n|---|---:|{'---:|' * len(heads)}", flush=True)
    for option in options(config["generate"]["num_inference_steps"]):
        with tempfile.TemporaryDirectory() as folder:
            print(f"| {' | '.join(measure(option, own.method, Path(folder) / 'project'))} |", flush=True)


if __name__ == "__main__":
    main()
