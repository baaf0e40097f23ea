"""A small run of a data set of one's own, to see that every stage can read it: minutes on two cores, no download.

It has the data set's section as it stands, edits and all, and the demo's tiny models with short trainings.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from fairdream.config.root import load_config
from fairdream.errors import UserError
from fairdream.planning import preflight
from fairdream.runtime.files import write_text

DEMO = Path("config/demo.yaml")
HEADER = """\
# yaml-language-server: $schema=schema.json
# A small run, to see that every stage can read {name}: written by `fairdream trial {name}` of the data sets in
# {own} and the demo's tiny models. Ignore its accuracies.
"""
SMALL: dict[str, dict[str, Any]] = {
    "finetune": {"steps": 40},
    "generate": {"images_per_group": 40, "num_inference_steps": 6},
    # as long for every method: what a trial's table compares should have learnt as much
    "pretrain": {"overrides": {}},
    "ablations": {"method": "dreambooth"},
}


def write_trial(own: Path) -> Path:
    """Write the trial of a configuration beside it, ``NAME-trial.yaml``; return its path.

    Raises
    ------
    UserError
        When a configuration cannot be read, or the data are not ready for a run.
    """
    for source in (own, DEMO):
        load_config(source)  # tells what is wrong with it; below the values as they were written
    demo = yaml.safe_load(DEMO.read_text(encoding="utf-8"))
    values = demo | {
        "results": f"results/{own.stem}-trial",
        "seeds": demo["seeds"][:1],
        "biases": ["original"],
        "methods": ["erm", "dreambooth"],
        "datasets": yaml.safe_load(own.read_text(encoding="utf-8"))["datasets"],
    }
    for section, small in SMALL.items():
        values[section] = demo[section] | small
    path = own.with_name(f"{own.stem}-trial.yaml")
    text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=120)
    write_text(path, HEADER.format(name=own.stem, own=own) + text)
    try:
        preflight.check(load_config(path))
    except UserError as error:
        raise UserError(f"{path} was written, but is not ready to run:\n{error}") from None
    return path
