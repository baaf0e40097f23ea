"""Using a classifier that was taken away: ``fairdream predict MODEL IMAGES…``."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from fairdream.classification import classifier
from fairdream.classification.truth import USUAL, Columns, group_accuracies, images_of, match, place
from fairdream.data import bit_depth
from fairdream.data.images import open_rgb
from fairdream.data.listing import is_utf8, list_files
from fairdream.errors import UserError
from fairdream.models.device import best_device
from fairdream.runtime.files import atomic

if TYPE_CHECKING:
    import pandas as pd

BATCH = 256


def predict(model: str | Path, images: Sequence[str | Path]) -> tuple[pd.DataFrame, dict[str, str]]:
    """Classify images.

    Parameters
    ----------
    model
        An exported folder, or a classifier's safetensors file.
    images
        Image files and folders, which are searched through; `find` says what is passed over.

    Returns
    -------
    table
        `path`, `predicted`, `probability`, and `p_LABEL` for each label.
    broken
        Why each image that cannot be read is missing in the table, by path.

    Raises
    ------
    UserError
        When there is no classifier at `model`, or no image at all.
    """
    import pandas as pd

    network, labels, size = load(Path(model))
    device = best_device()
    network.to(device)
    broken: dict[str, str] = {}
    tables = []
    paths = []
    for path in find(images)[0]:
        if is_utf8(str(path)):
            paths.append(path)
        else:
            broken[str(path)] = f"{os.fsencode(path)!r}: its name is not UTF-8; rename it"
    for start in range(0, len(paths), BATCH):
        batch = paths[start : start + BATCH]
        with tempfile.TemporaryDirectory() as folder:
            try:
                pixels = classifier.decode(enumerate(batch), len(batch), size, folder)
            except UserError:
                reasons = {path: reason for path in batch if (reason := _problem(path))}
                broken |= {str(path): reason for path, reason in reasons.items()}
                batch = [path for path in batch if path not in reasons]
                if not batch:
                    continue
                pixels = classifier.decode(enumerate(batch), len(batch), size, folder)
            shares = classifier.predict(network, pixels, device).softmax(dim=1).cpu().numpy()
        table = pd.DataFrame({"path": [str(path) for path in batch]})
        table["predicted"] = [labels[number] for number in shares.argmax(axis=1)]
        table["probability"] = shares.max(axis=1)
        for number, label in enumerate(labels):
            table[f"p_{label}"] = shares[:, number]
        tables.append(table)
    if not tables:
        told = [*list(broken.values())[:3], *([f"{len(broken)} in all"] if len(broken) > 3 else [])]
        raise UserError("no image that can be read: " + ("; ".join(told) or "none found"))
    return pd.concat(tables, ignore_index=True), broken


def _problem(path: Path) -> str | None:
    """Return why an image cannot be read, if it cannot."""
    try:
        open_rgb(path)
    except UserError as error:
        return str(error)
    return None


def find(images: Iterable[str | Path]) -> tuple[list[Path], list[str]]:
    """Return files as they are named and the image files below folders, sorted; and what was passed over, in words.

    A file that is named twice, or also lies in one of the folders, is one image.
    """
    paths, notes = [], []
    for image in map(Path, images):
        if image.is_dir():
            found = list_files(image)
            paths += [image / name for name in found.files]
            notes += found.told()
        else:
            paths.append(image)
    once: dict[str, Path] = {}
    for path in paths:
        once.setdefault(place(path), path)
    return list(once.values()), notes


def main(
    model: str, images: Sequence[str | Path], output: str | None, truth: str | None, columns: Columns = USUAL
) -> int:
    """Write predictions as CSV, tell of broken images and, given a table, of groups; return the exit status.

    Without images those of the table are classified.
    """
    if truth and not images:
        images = images_of(truth, columns)
    # begun before the work: a place that cannot be written shows at once
    with atomic(output) if output else nullcontext(sys.stdout) as target:
        if isinstance(target, Path):
            target.touch()
        paths, notes = find(images)
        for note in notes:
            print(note, file=sys.stderr)
        if truth and paths:
            rows, left_out = match(paths, load(Path(model))[1], truth, columns)
        table, broken = predict(model, paths)
        dark = ((path, value) for path in paths if (value := bit_depth.brightest_of_dark(path)))
        if told := bit_depth.told(dark):
            print(told, file=sys.stderr)
        table.to_csv(target, index=False, float_format="%.6f", lineterminator="\n")
    for reason in broken.values():
        print(reason, file=sys.stderr)
    if truth:
        for note in left_out:
            print(note, file=sys.stderr)
        print(group_accuracies(table, rows), file=sys.stderr if output is None else sys.stdout)
    return 1 if broken else 0


def load(model: Path) -> tuple[classifier.Network, list[str], int]:
    """Return network, labels and image size of a folder or file."""
    from safetensors import SafetensorError

    path = model / "model.safetensors" if model.is_dir() else model
    if not path.is_file():
        raise UserError(f"{model}: no classifier there; `fairdream export RUN METHOD` makes one")
    try:
        return classifier.load(str(path))
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError, UserError) as error:
        raise UserError(f"{path}: is no classifier of FairDream: {error!r}") from None
