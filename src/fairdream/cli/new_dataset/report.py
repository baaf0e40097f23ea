"""What `fairdream new-dataset` prints: the groups, what was assumed, and what to run next."""

from __future__ import annotations

import shutil

from fairdream.cli.new_dataset.split_words import SPLITS
from fairdream.data.groups import aligned_groups, attribute_of


def report(
    name: str, counts: dict[str, dict[str, int]], swapped: list[str], notes: list[str], unknown: bool = False
) -> str:
    """Return what was found and assumed, and what to run next: where the attribute is unknown, to infer it."""
    command = "fairdream" if shutil.which("fairdream") else ".venv/bin/fairdream"  # the environment may be inactive
    if unknown:
        return "\n".join(
            [
                looked_at(counts, swapped, notes),
                "No image has an attribute. Next:",
                f"  {command} infer-attributes {name}    # infers it, and writes a configuration that goes by it",
            ]
        )
    lines = [
        looked_at(counts, swapped, notes),
        "Next, after a look at the words under `labels`, `attributes` and `prompts`:",
        f"  {command} audit {name}    # how biased they are, which method fits; opens every image once",
        f"  {command} trial {name}    # a small run first, on tiny models: minutes on a CPU",
        f"  {command} plan {name}     # every job, and the hours, before they are spent",
        f"  {command} run {name}      # the run",
        f"  {command} report {name}   # all of it in one HTML file",
    ]
    return "\n".join(lines)


def looked_at(counts: dict[str, dict[str, int]], swapped: list[str], notes: list[str]) -> str:
    """Return the groups as a table, if there are any, and the notes, each with an empty line behind."""
    lines = [*_groups(counts, swapped), ""] if counts else [""]
    untested = [group for group, count in counts.items() if not count["test"]]
    if untested:
        notes = [*notes, f"no test image of {', '.join(untested)}: no accuracy will tell of it"]
    lines += [*(f"Note: {note}." for note in notes), ""] if notes else []
    return "\n".join(lines)


def _groups(counts: dict[str, dict[str, int]], swapped: list[str]) -> list[str]:
    several = len({attribute_of(group) for group in counts}) > 1  # else no group goes with its class more than others
    aligned = aligned_groups({group: count["train"] for group, count in counts.items()}).values() if several else ()
    width = max(len("group"), *map(len, counts))
    lines = ["", f"{'group':{width}}  " + "  ".join(f"{split:>10}" for split in SPLITS)]
    for group, count in counts.items():
        role = "goes with its class" if group in aligned else "drawn by the swap" * (group in swapped)
        lines.append(f"{group:{width}}  " + "  ".join(f"{count[split]:>10}" for split in SPLITS) + f"  {role}".rstrip())
    return lines
