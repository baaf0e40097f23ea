"""Which run a command is about: its configuration by name or file, and the profile of the machine that it is for."""

from __future__ import annotations

import difflib
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

import yaml

from fairdream.config.root import Config, read_values, validate_config
from fairdream.errors import UserError
from fairdream.identity import digest

ROOT = Path(__file__).resolve().parents[3]
NAMED = {"paper": "config.yaml", "demo": "config/demo.yaml"}
SLURM = Path("profiles/slurm")
# Of the part of SLURM's profile that differs from cluster to cluster, as it comes; a test compares it with the file.
SHIPPED = "b60a9106c8ae34591be3f0c546b710f7e656fc4f510f5008e0e54ce5b8b35e49"


@dataclass(frozen=True)
class Run:
    """A run: the files of its configuration, later ones over earlier ones, and Snakemake's profile for it."""

    configfiles: tuple[str, ...]
    profile: str

    @property
    def is_small(self) -> bool:
        """Whether its jobs are so short that one import of the libraries for all is worth it: the demo and trials."""
        return Path(self.profile).name == "demo"

    def arguments(self, *targets: str) -> list[str]:
        """Return Snakemake's arguments; the files come last, as a word behind them would be taken for one more.

        Raises
        ------
        UserError
            For a name that no target has, or what is no ``KEY=VALUE`` of ``--config``.
        """
        _check_names(takewhile(lambda word: not word.startswith("-"), targets))
        _check_values(targets)
        own = [] if self.is_default else ["--configfile", *self.configfiles]
        return ["--profile", self.profile, *targets, *own]

    @property
    def words(self) -> str:
        """Return how a command names it."""
        for name, file in NAMED.items():
            if self.configfiles == (file,):
                return name
        first = Path(self.configfiles[0])
        if len(self.configfiles) == 1 and first == Path("config", f"{first.stem}.yaml"):
            return first.stem
        return shlex.join(word for file in self.configfiles for word in ("--configfile", file))

    @property
    def is_default(self) -> bool:
        """Whether Snakemake reads these files without being told."""
        return self.configfiles == (NAMED["demo"] if self.is_small else NAMED["paper"],)


def in_clone() -> None:
    """Refuse a folder without the workflow.

    Raises
    ------
    UserError
        Names the folder to go to.
    """
    if not (Path("Snakefile").is_file() and Path("profiles").is_dir()):
        raise UserError(f"No FairDream workflow in {Path.cwd()}: go to a clone first, such as `cd {ROOT}`")


def find(words: tuple[str, ...], configfiles: tuple[str, ...], profile: str | None) -> tuple[Run, tuple[str, ...]]:
    """Return the run that the words of a command line begin with, and the words behind it: targets.

    Parameters
    ----------
    words
        A run's name or file, then targets. Without a name the run is that of `configfiles`, or the paper's.
    configfiles
        Overlay the named run, each the ones before it.
    profile
        ``None``: the demo's for the demo and for trials; for others SLURM's where it was edited and SLURM answers, else
        this machine's.

    Raises
    ------
    UserError
        For a name without a configuration, or a file that is not there; and outside of a clone.
    """
    in_clone()
    if words and not words[0].startswith("-") and (not configfiles or _is_run(words[0])):
        configfiles, words = (_file_of(words[0]), *configfiles), words[1:]
    elif not configfiles:
        configfiles = (NAMED["paper"],)
    for file in configfiles:
        if not Path(file).is_file():
            raise UserError(f"{file}: no such configuration")
    return Run(configfiles, profile or _profile_for(configfiles)), words


def _is_run(word: str) -> bool:
    return word in NAMED or word.endswith((".yaml", ".yml")) or Path("config", f"{word}.yaml").is_file()


def _file_of(name: str) -> str:
    if name.endswith((".yaml", ".yml")):
        return name
    file = NAMED.get(name, f"config/{name}.yaml")
    if not Path(file).is_file():
        own = sorted(path.stem for path in Path("config").glob("*.yaml") if path.stem != "demo")
        raise UserError(
            f"{name}: no run of this name, as there is no {file}. There are: {', '.join([*NAMED, *own])}. "
            f"`fairdream new-dataset {name}` makes one for data of your own; a target needs its run before it, as in "
            f"`fairdream run paper {name}`"
        )
    return file


def _profile_for(configfiles: tuple[str, ...]) -> str:
    if configfiles[0] == NAMED["demo"] or Path(configfiles[0]).stem.endswith("-trial"):
        return "profiles/demo"
    return str(SLURM) if is_edited(SLURM) and slurm_answers() else "profiles/local"


def _check_names(words: Iterable[str]) -> None:
    """Refuse a word that is neither a rule nor a file; of a path, which a rule may make, Snakemake tells."""
    for word in words:
        if re.fullmatch(r"[\w-]+", word) and word not in _rules("Snakefile", "rules/*.smk") and not Path(word).exists():
            targets = _rules("Snakefile", "rules/targets.smk")
            near = difflib.get_close_matches(word, targets)
            there = f"the nearest: {_list(near)}" if near else f"there are {_list(targets)}, and files"
            raise UserError(f"{word}: no target of this name; {there}")


def _rules(*patterns: str) -> list[str]:
    texts = [path.read_text(encoding="utf-8") for pattern in patterns for path in ROOT.glob(pattern)]
    return [name for text in texts for name in re.findall(r"^(?:rule|checkpoint) (\w+):", text, re.MULTILINE)]


def _check_values(words: tuple[str, ...]) -> None:
    """Refuse what Snakemake, which takes all up to the next option for values of ``--config``, has a traceback for."""
    option = ""
    for word in words:
        option = word if word.startswith("-") else option
        if option in {"--config", "-C"} and word != option and not re.match(r"[A-Za-z_][\w-]*\w=", word):
            raise UserError(
                f"--config {word}: not of the form KEY=VALUE. Targets come before --config, and a key in a section is "
                "written as in --config 'finetune={\"steps\": 10}'"
            )


def values_of(run: Run) -> dict[str, Any]:
    """Return the run's plain values, as Snakemake puts its files together."""
    from snakemake.utils import update_config

    values: dict[str, Any] = {}
    for file in run.configfiles:
        update_config(values, read_values(file))
    return values


def configuration_of(run: Run) -> Config:
    """Return the run's configuration."""
    return validate_config(values_of(run), ", ".join(run.configfiles))


def export_target(run: Run, method: str, dataset: str | None, bias: str | None) -> str:
    """Return the file that stands for an exported classifier.

    Raises
    ------
    UserError
        When the run has no such method, data set or bias level, or several data sets and none is named.
    """
    config = configuration_of(run)
    if dataset is None:
        if len(config.datasets) > 1:
            raise UserError(
                f"{_list(run.configfiles)} has several data sets: choose --dataset of {_list(config.datasets)}"
            )
        (dataset,) = config.datasets
    bias = bias or str(config.biases[0])
    for what, name, known in (
        ("METHOD", method, config.methods),
        ("--dataset", dataset, config.datasets),
        ("--bias", bias, config.biases),
    ):
        if name not in map(str, known):
            raise UserError(f"{what} {name}: not in {_list(run.configfiles)}, which has {_list(known)}")
    return f"{config.results}/{dataset}/{bias}/{method}/model/README.md"


def _list(names: Iterable[object]) -> str:
    return ", ".join(map(str, names))


def is_edited(profile: Path) -> bool:
    """Whether what a profile says of the cluster is other than what FairDream comes with."""
    values = yaml.safe_load((profile / "config.yaml").read_text(encoding="utf-8"))
    return digest({key: values.get(key) for key in ("default-resources", "set-resources")}) != SHIPPED


def slurm_answers() -> bool:
    """Whether this machine reaches a SLURM controller."""
    if shutil.which("sinfo") is None:
        return False
    try:
        return subprocess.run(["sinfo", "-h"], capture_output=True, timeout=5).returncode == 0
    except subprocess.TimeoutExpired:
        return False
