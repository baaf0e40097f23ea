"""How long a job takes and how much it writes: by this machine's own benchmark files, by stated defaults elsewhere.

A job's time is a rate times its units of work: training images times pixels, image times denoising steps, and so on.
Snakemake's extended benchmark files hold the parameters that a job ran with, so a rate measured at 300 steps serves for
a run of 1,000.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from fairdream.config.root import Config
from fairdream.methods import base_of, method_of
from fairdream.planning import plan
from fairdream.reporting.benchmark_files import read


class Work(NamedTuple):
    """What one job has to do.

    Jobs of the same rule and `kind` take the same time for each of their `units`.
    """

    rule: str
    kind: str
    units: float


class Default(NamedTuple):
    """Seconds that a job takes where no benchmark file tells: to start, and for each unit."""

    start: float
    unit: float


# One A100 with Stable Diffusion 1.4 at 512 x 512 in half precision: about 5 LoRA steps a second at batch size 1, and a
# 50-step image a second at batch size 16 (diffusers' own figures for PyTorch 2); CLIP and ResNet-50 as their data
# loading allows. Orders of magnitude: the first jobs of a run replace them.
DEFAULTS = {
    "finetune": Default(30, 0.76),
    "generate": Default(30, 0.02),
    "score": Default(30, 0.01),
    "embed": Default(30, 0.01),
    "embed_all": Default(30, 0.01),
    "index": Default(10, 0.002),
    "manifest": Default(10, 0.001),
    "pretrain": Default(20, 0.04),
    "retrain": Default(20, 0.001),
}
ANY = Default(10, 0.0)

# Bytes a unit of what takes most of the disk, where no file tells: a 512 x 512 PNG, an adapter of rank 4 with its copy
# in the store, a ResNet-50 (or the demo's network) with its stage 2.
SIZES = {"generate": 450_000.0, "finetune": 2 * 3_300_000.0, "pretrain": 94_000_000.0, "retrain": 94_000_000.0}
SMALL_CNN = 400_000.0
FILES = {
    "generate": "*/*/*/images/*/*/*.parquet",
    "finetune": "*/*/*/adapters/*/*.safetensors",
    "pretrain": "*/*/*/classifiers/*/*/stage1.safetensors",
    "retrain": "*/*/*/classifiers/*/*/[!s]*.safetensors",
}


def work(config: Config, rule: str, wildcards: dict[str, str], values: dict[str, Any]) -> Work:
    """Return the work of a job.

    Parameters
    ----------
    wildcards
        The job's, by name.
    values
        What it reads of the configuration (`fairdream.planning.params`): now, or when it ran.
    """
    method = base_of(wildcards["method"]) if "method" in wildcards else ""
    if rule == "finetune":
        return Work(rule, method, values["steps"] * values["batch_size"] * values["resolution"] ** 2 / 1e6)
    if rule == "generate":
        return Work(rule, method, _images(wildcards) * values["num_inference_steps"] * _area(config))
    if rule == "score":
        return Work(rule, "", _images(wildcards))
    if rule in ("manifest", "index", "embed", "embed_all"):
        own = config.datasets.get(wildcards["dataset"])
        return Work(rule, "", sum(own.train_counts.values()) if own else 1)
    if rule == "pretrain":
        pixels = values["image_size"] ** 2 / 1e6
        return Work(rule, f"{method}-{wildcards['loss']}", _trained_on(config, wildcards, values) * pixels)
    if rule == "retrain" and "training" in values:
        real = {**wildcards, "method": "erm"}  # stage 2 is on real images
        return Work(rule, wildcards["recipe"], _trained_on(config, real, values["training"]))
    return Work(rule, wildcards.get("recipe", ""), 1)


def _area(config: Config) -> float:
    """Return the pixels of an image, with those of 512 x 512 as 1."""
    return (config.finetune.resolution / 512) ** 2


class Rates:
    """Seconds and bytes per job, learnt from what a results folder holds.

    Parameters
    ----------
    config
        The configuration that names the results folder.

    Attributes
    ----------
    measured
        Number of benchmark files that were read.
    """

    def __init__(self, config: Config):
        self.measured = 0
        self._kinds: dict[tuple[str, str], list[float]] = defaultdict(list)
        self._rules: dict[str, list[float]] = defaultdict(list)
        for _, record in read(Path(config.results, "benchmarks")):
            if "params" not in record:
                continue
            self.measured += 1
            done = work(config, record["rule_name"], record["wildcards"], record["params"].get("cfg") or {})
            rate = _seconds(config, record) / done.units
            self._kinds[done.rule, done.kind].append(rate)
            self._rules[done.rule].append(rate)
        self._sizes = {rule: self._size(config, rule) for rule in SIZES}

    def seconds(self, job: Work) -> float:
        """Return how long a job takes: as jobs of its kind did, else as its rule's did, else the default."""
        rates = self._kinds.get((job.rule, job.kind)) or self._rules.get(job.rule)
        if rates:
            return median(rates) * job.units
        start, unit = DEFAULTS.get(job.rule, ANY)
        return start + unit * job.units

    def known(self, job: Work) -> bool:
        """Tell whether benchmark files say how long such a job takes."""
        return job.rule in self._rules

    def bytes(self, job: Work, wildcards: dict[str, str]) -> float:
        """Return how much a job writes."""
        return self._sizes.get(job.rule, 0.0) * (_images(wildcards) if job.rule == "generate" else 1)

    def _size(self, config: Config, rule: str) -> float:
        copies = 2 if rule == "finetune" else 1  # the store's
        files = [path for path in Path(config.results).glob(FILES[rule]) if path.is_file()]
        if not files:
            if config.models.encoder.name == "small_cnn" and rule in ("pretrain", "retrain"):
                return SMALL_CNN
            return SIZES[rule] * (_area(config) if rule == "generate" else 1)
        images = [_images({"shard": path.stem}) if rule == "generate" else 1 for path in files]
        return copies * sum(path.stat().st_size for path in files) / sum(images)


def _images(wildcards: dict[str, str]) -> int:
    start, stop = map(int, wildcards["shard"].split("-"))
    return stop - start


def _trained_on(config: Config, wildcards: dict[str, str], values: dict[str, Any]) -> float:
    """Return the images that a training sees; of JTT without the copies, whose number no one knows before."""
    if values.get("steps"):
        return values["steps"] * values["batch_size"]
    dataset, bias = wildcards["dataset"], wildcards["bias"]
    if dataset not in config.datasets:
        return values["epochs"]
    if method_of(wildcards["method"]).synthetic:
        images = len(plan.groups(config, dataset)) * config.generate.images_per_group * config.select.fraction
    else:
        images = sum(plan.training_counts(config, dataset, bias).values())
    return values["epochs"] * images


def _seconds(config: Config, record: dict[str, Any]) -> float:
    """Return a job's seconds; of an adapter its share of the pool that it was trained in, by its history.

    Its job may have trained mates too, waited for a mate's job, or found it in the store. The images a second of a
    history are the whole pool's, so the shares of a pool add up to its time.
    """
    if record["rule_name"] != "finetune":
        return record["s"]
    names = record["wildcards"]
    folder = Path(config.results, names["dataset"], names["bias"], names["method"], "adapters", names["subject"])
    try:
        with open(folder / "history.csv", newline="", encoding="utf-8") as file:
            rows = [(int(row["step"]), float(row["images_per_second"])) for row in csv.DictReader(file)]
    except FileNotFoundError:
        return record["s"]
    batch, done, seconds = record["params"]["cfg"]["batch_size"], 0, 0.0
    for step, speed in rows:
        seconds += (step - done) * batch / speed
        done = step
    return seconds
