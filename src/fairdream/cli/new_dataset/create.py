"""Write and check ``config/NAME.yaml`` for data of one's own: ``fairdream new-dataset birds``.

Looks at the folder and its table (or makes one, see `layouts`), finds classes, attributes, splits and group sizes, and
tells what it found, what it assumed and what to run next.
"""

from __future__ import annotations

import re
from pathlib import Path

from fairdream.cli import runs
from fairdream.cli.new_dataset import render
from fairdream.cli.new_dataset.layouts import find_folder
from fairdream.cli.new_dataset.options import Options
from fairdream.cli.new_dataset.report import looked_at, report
from fairdream.cli.new_dataset.section import count_groups, example, look
from fairdream.config.root import load_config
from fairdream.data.listing import list_files
from fairdream.errors import UserError
from fairdream.planning import plan, preflight
from fairdream.runtime.files import write_text

TAKEN = {*runs.NAMED, "config", "schema"}  # `fairdream run paper` reads config.yaml


def create(options: Options) -> None:
    """Write the configuration, check it and print the report.

    Raises
    ------
    UserError
        When the data or the options do not fit; says which and what would.
    """
    runs.in_clone()
    name, target = options.name, Path("config", f"{options.name}.yaml")
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9_.]*[A-Za-z0-9])?", name):
        raise UserError(f"{name}: letters, digits, _ and . only, as it becomes part of paths")
    if name == "waterdigits":
        raise UserError("waterdigits: this is the demo's data set, which the workflow makes; choose another name")
    if name in TAKEN:
        raise UserError(f"{name}: commands or files of the workflow have this name; choose another name")
    if target.exists() and not options.force:
        raise UserError(f"{target} is there already: edit it; or --force rewrites it and keeps this one beside it")
    base = load_config(options.base)
    notes: list[str] = []
    folder, counts = find_folder(name, options.folder), {}
    if folder:
        values = look(folder, options, notes)
        notes += list_files(Path(values["folder"], values["images"])).told()
        counts = count_groups(values, base.seed)
        values["train_counts"] = {group: count["train"] for group, count in counts.items()}
    else:
        values = example(name, notes)
    text = render.configuration(options.base.read_text(encoding="utf-8"), name, options.base.name, values)
    if target.exists():
        old = target.replace(target.with_suffix(".yaml.old"))
        notes.append(f"the file that was there is now {old}")
    write_text(target, text)
    swapped: list[str] = []
    try:
        config = load_config(target)
        swapped = plan.swapped_groups(config, name, plan.biases(config)[0])
        preflight.check(config)
    except UserError as error:
        print(looked_at(counts, swapped, notes))
        raise UserError(f"{target} was written, but is not ready to run:\n{error}") from None
    source = f" from {values['folder']}/{values['tables'][0]['file']}" if folder else ""
    print(f"{target} was written{source}, and is valid.")
    print(report(name, counts, swapped, notes, unknown="inference" in values))
