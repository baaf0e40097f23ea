"""The smallest configuration, edited by a test, for what follows from the configuration alone."""

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
