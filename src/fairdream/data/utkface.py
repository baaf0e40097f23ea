"""UTKFace's table from its file names: ``fairdream utkface FOLDER``.

UTKFace ships faces and no table: a name is ``[age]_[gender]_[race]_[date&time].jpg``. This writes
``FOLDER/metadata.csv`` with `path, gender, age_group, split` for the conventions of FFR (Qraitem et al. 2023): adults
are 20 to 50 years old, children at most 5, everyone else is left out, and so is a name without four parts. What is left
out is counted.

The split is a list of your own (`--split`, a CSV with `path` and `split`), or a seeded one: 80/10/10 within each group,
then conflicting training groups cut to 10 % of their class. FFR's own split is a published list; docs/data.md says how
to turn it into a CSV.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from fairdream.data.groups import counts_at, group_name
from fairdream.data.listing import list_files
from fairdream.data.table_files import read_table
from fairdream.errors import UserError
from fairdream.identity import seed_of
from fairdream.runtime.files import write_text

GENDERS = {"0": "male", "1": "female"}
ADULT, CHILD = range(20, 51), range(0, 6)
SHARES = (("test", 0.1), ("validation", 0.2))  # below each: that split; the rest trains
RATIO = "0.9"


def read_names(names: list[str]) -> tuple[dict[str, tuple[str, str]], Counter[str]]:
    """Return gender and age group by name, and how many names were left out, by reason."""
    faces: dict[str, tuple[str, str]] = {}
    dropped: Counter[str] = Counter()
    for name in sorted(names):
        parts = name.split("_")
        if len(parts) != 4:
            dropped["a name without four parts"] += 1
        elif not parts[0].isdigit() or parts[1] not in GENDERS:
            dropped["an age or gender that is none"] += 1
        elif int(parts[0]) in ADULT or int(parts[0]) in CHILD:
            faces[name] = (GENDERS[parts[1]], "old" if int(parts[0]) in ADULT else "young")
        else:
            dropped["an age of neither group"] += 1
    return faces, dropped


def seeded_split(faces: dict[str, tuple[str, str]], seed: int) -> dict[str, str]:
    """Return the split by name; training faces that a class has too many of, for the ratio, are left out."""
    order = sorted(faces, key=lambda name: seed_of("utkface", seed, name))
    members: dict[str, list[str]] = {}
    for name in order:
        members.setdefault(group_name(*faces[name]), []).append(name)
    split, train = {}, {}
    for group, names in members.items():
        for position, name in enumerate(names):
            share = position / len(names)
            split[name] = next((kind for kind, below in SHARES if share < below), "train")
        train[group] = [name for name in names if split[name] == "train"]
    keep = counts_at({group: len(names) for group, names in train.items()}, RATIO)
    for group, names in train.items():
        for name in names[keep[group] :]:
            del split[name]
    return split


def write_metadata(folder: Path, split_list: Path | None = None, seed: int = 0) -> None:
    """Write the table and print what was left out and the numbers for `train_counts`.

    Parameters
    ----------
    folder
        With the faces in ``images/``; the table goes beside them.
    split_list
        CSV with path and split (train, validation, test); ``None``: a seeded split of our own.

    Raises
    ------
    UserError
        When the faces or the list cannot be read, or the list names a face that is not there.
    """
    import pandas as pd

    images = folder / "images"
    if not images.is_dir():
        raise UserError(f"{images}: not found; put UTKFace's aligned and cropped faces there")
    found = list_files(images)
    faces, dropped = read_names([name for name in found.files if "/" not in name])
    if deeper := sum("/" in name for name in found.files):
        dropped["in a folder of its own"] = deeper
    if split_list:
        listed = read_table(split_list)
        if not {"path", "split"} <= set(listed.columns):
            raise UserError(f"{split_list}: it needs the columns path and split")
        lost = listed[~listed["path"].isin(list(faces))]
        if len(lost):
            raise UserError(f"{split_list}: row {lost.index[0] + 2}: no face {lost['path'].iloc[0]} in {images}")
        split = dict(zip(listed["path"], listed["split"], strict=True))
        dropped["not in the split's list"] += len(faces) - len(split)
    else:
        split = seeded_split(faces, seed)
        dropped["training faces above the ratio"] += len(faces) - len(split)
    rows = [(name, *faces[name], split[name]) for name in sorted(split)]
    table = pd.DataFrame(rows, columns=["path", "gender", "age_group", "split"])
    write_text(folder / "metadata.csv", table.to_csv(index=False, lineterminator="\n"))
    print(f"{folder / 'metadata.csv'}: {len(table)} faces")
    for reason, count in sorted(dropped.items()):
        print(f"left out: {count}, {reason}")
    for note in found.told():
        print(note)
    counts = Counter(group_name(gender, age) for _, gender, age, kind in rows if kind == "train")
    print("train_counts:")
    for group in sorted(counts):
        print(f"  {group}: {counts[group]}")
