"""Write and check ``config/NAME.yaml`` for data of one's own: ``make new-dataset NAME=birds``.

Looks at the folder and its table (or makes one, see `layouts`), finds classes, attributes, splits and group sizes, and
tells what it found, what it assumed and what to run next.
"""

from __future__ import annotations

import argparse
import re
import sys
import zipfile
from pathlib import Path

from fairdream import plan, preflight
from fairdream.config import load_config
from fairdream.errors import UserError
from fairdream.files import write_text
from fairdream.listing import list_files
from fairdream.newdata import render
from fairdream.newdata.columns import OPTIONS
from fairdream.newdata.layouts import find_folder
from fairdream.newdata.report import report
from fairdream.newdata.section import SHARES, count_groups, example, look
from fairdream.newdata.trial import write_trial


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Return the options; the variables of `make new-dataset` have the same names."""
    parser = argparse.ArgumentParser(prog="python -m fairdream.newdata", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("name", help="of the data set, in paths and tables")
    parser.add_argument("--folder", type=Path, help="with the images, or a zip or tar of it; by default data/NAME")
    parser.add_argument("--table", help="file in the folder, or several by commas; by default the only one there")
    parser.add_argument("--images", help="folder in it that the table's paths start from, where several have them")
    for role, option in OPTIONS.items():
        parser.add_argument(f"--{option.lower()}", help=f"column of the {role}", dest=role)
    parser.add_argument("--split-values", help="what a split column's values mean: train=0,validation=1,test=2")
    parser.add_argument("--missing", choices=["drop", "group"], help="images without an attribute: leave out, or group")
    for split, share in SHARES.items():
        help_ = f"share of each group for the {split}, where the table has none: {share}"
        parser.add_argument(f"--{split}", type=float, help=help_, dest=f"share_{split}")
    parser.add_argument("--base", type=Path, default=Path("config.yaml"), help="configuration of the other sections")
    parser.add_argument("--force", action="store_true", help="write config/NAME.yaml anew")
    parser.add_argument("--trial", action="store_true", help="also config/NAME-trial.yaml, what `make trial` runs")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Write the configuration, check it and print the report.

    Raises
    ------
    UserError
        When the data or the options do not fit; says which and what would.
    """
    options = parse(arguments)
    name, target = options.name, Path("config", f"{options.name}.yaml")
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9_.]*[A-Za-z0-9])?", name):
        raise UserError(f"NAME={name}: letters, digits, _ and . only, as it stands in paths")
    if name == "waterdigits":
        raise UserError("NAME=waterdigits: this is the demo's data set, which the workflow makes; choose another name")
    if options.trial and target.exists() and not options.force:
        print(f"{write_trial(target)} was written, of the data sets in {target}.")
        return
    if target.exists() and not options.force:
        raise UserError(f"{target} is there already: edit it; or FORCE=1 writes it anew and keeps this one beside it")
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
    try:
        config = load_config(target)
        preflight.check(config)
    except UserError as error:
        raise UserError(f"{target} was written, but is not ready to run:\n{error}") from None
    source = f" from {values['folder']}/{values['tables'][0]['file']}" if folder else ""
    print(f"{target} was written{source}, and is valid.")
    print(report(name, counts, plan.swapped_groups(config, name, plan.biases(config)[0]), notes))
    if options.trial:
        print(f"{write_trial(target)} was written, of the data sets in {target}.")


if __name__ == "__main__":
    try:
        main()
    except (UserError, zipfile.BadZipFile) as error:
        sys.exit(str(error))
