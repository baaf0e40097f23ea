"""Class folders: label, attribute and split of each image from the folders that it lies in.

Where folders say two things at once (splits beside classes, masks beside images), nothing is guessed: the message asks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from fairdream.cli.new_dataset.columns import FOLDER_SPLIT
from fairdream.cli.new_dataset.split_hints import refuse_classes
from fairdream.cli.new_dataset.split_words import split_of, split_of_word, told_apart
from fairdream.data.listing import BROKEN_LINK, Listing, check_names, one_form
from fairdream.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

# Names of folders for pixels' labels: the first are hardly classes, the second only beside a folder of images.
MASKS = {"masks", "annotations", "segmentation", "segmentations", "segmentation_masks", "groundtruth", "ground_truth"}
MASKS_BESIDE_IMAGES = {"mask", "labels", "label", "seg", "gt"}
IMAGES = {"images", "image", "imgs", "img", "photos", "jpegimages", "original", "originals"}
MASK_NAME = re.compile(r"(.+?)[_\- ](?:masks?|seg|segmentation|gt)(?:[_\- ]?\d+)?", re.IGNORECASE)


def read_class_folders(found: Listing, notes: list[str]) -> pd.DataFrame:
    """Return the table of path, label, and where folders say so attribute and split: ``[split/]label[/attribute]/``.

    Parameters
    ----------
    found
        The images below the folder.
    notes
        Gets what was assumed, and the folders without an image.

    Raises
    ------
    UserError
        When the folders do not read as such, or can be read in two ways.
    """
    import pandas as pd

    if found.broken:
        raise UserError(f"{found.folder / found.broken[0]}: {BROKEN_LINK}; fix or remove it")
    check_names(found.folder, [*found.files, *found.folders])
    _ask_about_masks(found)
    parts = {path: path.split("/")[:-1] for path in sorted(found.files)}
    split_level = _has_split_level(found.folder, parts, notes)
    tops = [names[0] for names in parts.values()] if split_level else []
    levels = {path: names[1:] if split_level else names for path, names in parts.items()}
    depths = {len(names): path for path, names in levels.items()}
    if not depths.keys() <= {1, 2} or len(depths) > 1:
        shown = "; ".join(sorted(depths.values())[:3])
        raise UserError(
            f"{found.folder}: no table, and the folders do not read as [split/]label/image or "
            f"[split/]label/attribute/image, for example {shown}. Write a table with the path, label, attribute and "
            "split of each image"
        )
    table = pd.DataFrame({"path": list(levels), "label": [names[0] for names in levels.values()]})
    if 2 in depths:
        table["attribute"] = [names[1] for names in levels.values()]
        _ask_about_splits_below(found.folder, levels.values())
    _ask_about_images(found.folder, table["label"])
    for column in table.columns[1:]:
        refuse_classes(found.folder, table[column])
        _refuse_alike(found.folder, table[column])
    if empty := _without_images(found):
        notes.append(f"no image is in {', '.join(empty)}")
    return table.assign(**{FOLDER_SPLIT: told_apart(tops, [split_of(top) for top in tops])}) if tops else table


def _has_split_level(folder: Path, parts: dict[str, list[str]], notes: list[str]) -> bool:
    """Tell whether the first folders are splits; a lone one among others is a class, as a train is beside a car."""
    tops = {names[0] if names else path: split_of(names[0]) if names else None for path, names in parts.items()}
    splits = [top for top, split in tops.items() if split]
    others = [top for top, split in tops.items() if not split]
    different = {tops[top] for top in splits}
    # two of one split may be classes, as a train_station and a train_track are
    if splits and others and (len(different) > 1 or (len(splits) > 1 and any(map(split_of_word, splits)))):
        raise UserError(
            f"{folder}: {', '.join(splits)} are splits, {', '.join(others[:3])} beside them "
            f"{'are' if len(others) > 1 else 'is'} not. Move every image below one of the splits, or, if these are "
            "classes too, rename their folders"
        )
    if splits and others:
        notes.append(f"the folder {splits[0]} is taken for a class, as those beside it are no splits")
    return not others


def _ask_about_splits_below(folder: Path, levels: Iterable[list[str]]) -> None:
    inner = sorted({names[1] for names in levels})
    if len(inner) > 1 and all(map(split_of, inner)):
        raise UserError(
            f"{folder}: {', '.join(inner)} are splits, but lie inside the classes. Put them first: "
            f"{inner[0]}/LABEL/image, or {inner[0]}/LABEL/ATTRIBUTE/image"
        )


def _ask_about_images(folder: Path, labels: Iterable[str]) -> None:
    """Stop where a class would be called as a folder of all images is, beside one of small copies, say."""
    names = sorted(set(labels))
    if images := [name for name in names if name.lower() in IMAGES]:
        raise UserError(
            f"{folder / images[0]}: is this the folder of all images, or a class? Read as a class, it lies beside "
            f"{', '.join(name for name in names if name != images[0]) or 'no other'}. Name the folder of all images "
            "with --folder; rename that of a class"
        )


def _ask_about_masks(found: Listing) -> None:
    """Stop where some images look like masks of others, by the name of their folder or their own."""
    beside: dict[str, set[str]] = {}
    for folder in map(PurePosixPath, _full_folders(found) - {""}):
        beside.setdefault(folder.parent.as_posix(), set()).add(folder.name)
    for parent, names in sorted(beside.items()):
        images = [name for name in names if name.lower() in IMAGES]
        words = MASKS | MASKS_BESIDE_IMAGES if images else MASKS
        if masks := sorted(name for name in names if name.lower() in words):
            raise UserError(
                f"{found.folder / parent / masks[0]}: are these masks of images, or a class? Move masks out of "
                f"{found.folder}, and what they belong to out of a folder of its own; rename the folder of a class"
            )
    stems = {path.rpartition(".")[0] for path in found.files}
    masks = sorted(stem for stem in stems if (match := MASK_NAME.fullmatch(stem)) and match[1] in stems)
    if masks:
        raise UserError(
            f"{found.folder}: {len(masks)} image(s) are called as masks of others, first {masks[0]}: are they? Move "
            "masks out of the folder; else rename them, or write a table"
        )


def _refuse_alike(folder: Path, values: Iterable[str]) -> None:
    """Refuse names of one level that a reader would take for the same; single letters may be classes."""
    known: dict[str, str] = {}
    for value in sorted(set(values)):
        other = known.setdefault(" ".join(one_form(value).casefold().split()), value)
        if other != value and len(value) > 1:
            raise UserError(
                f"{folder}: the folders {other!r} and {value!r} differ in case, blanks or Unicode form alone; join "
                "them if they are one class, else rename one"
            )


def _without_images(found: Listing) -> list[str]:
    """Return the folders that hold no image, without those inside them."""
    full = _full_folders(found)
    empty = [folder for folder in found.folders if folder not in full]
    return [folder for folder in empty if folder.rpartition("/")[0] in full]


def _full_folders(found: Listing) -> set[str]:
    """Return the folders that hold an image, at whatever depth; the one that was walked through is ``""``."""
    full = {path.rpartition("/")[0] for path in found.files}
    while inner := {folder.rpartition("/")[0] for folder in full} - full:
        full |= inner
    return full | {""}
