"""Configurations edited by a test: the smallest, and any with one data set of its several."""

import copy
from pathlib import Path

import yaml

from fairdream.config.root import Config, validate_config

ROOT = Path(__file__).resolve().parents[1]
SMALLEST = yaml.safe_load((ROOT / "tests/workflow/smallest.yaml").read_text())
SMALLEST["models"]["diffusion"] = {"id": "./tiny-sd"}  # whether it is there matters to a run alone


def changed(edit=lambda raw: None) -> Config:
    raw = copy.deepcopy(SMALLEST)
    edit(raw)
    return validate_config(raw)


def keep_one(raw: dict, dataset: str) -> None:
    """Leave out the other data sets, and the overrides for them."""
    gone = raw["datasets"].keys() - {dataset}
    raw["datasets"] = {dataset: raw["datasets"][dataset]}
    for section in (raw["pretrain"], *(own for own in raw["baselines"].values() if isinstance(own, dict))):
        overrides = section.pop("overrides", {})
        if kept := {key: own for key, own in overrides.items() if key.rpartition("@")[2] not in gone}:
            section["overrides"] = kept
