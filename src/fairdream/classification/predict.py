"""Using a classifier that was taken away: ``fairdream predict MODEL IMAGES…``."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from fairdream.classification import classifier
from fairdream.classification.metrics import summarize
from fairdream.data.images import open_rgb
from fairdream.data.index import as_text, read_table
from fairdream.data.listing import as_on_disk, is_utf8, list_files, one_form
from fairdream.data.manifest import image_base
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
    """Return files as they are named and the image files below folders, sorted; and what was passed over, in words."""
    paths, notes = [], []
    for image in map(Path, images):
        if image.is_dir():
            found = list_files(image)
            paths += [image / name for name in found.files]
            notes += found.told()
        else:
            paths.append(image)
    return paths, notes


class Columns(NamedTuple):
    """Names of a table's columns; the attribute's may be missing where no name was given."""

    image: str = "path"
    label: str = "label"
    attribute: str | None = None


USUAL = Columns()


def read_truth(truth: str | Path, columns: Columns) -> pd.DataFrame:
    """Return a table of labels as text; it has the columns.

    Raises
    ------
    UserError
        When it cannot be read or lacks one.
    """
    known = read_table(Path(truth)).apply(as_text)
    for what, column in columns._asdict().items():
        if column is not None and column not in known:
            raise UserError(
                f"{truth}: has no column {column}, only {', '.join(known.columns)}; say --{what}-column NAME"
            )
    return known


def group_accuracies(table: pd.DataFrame, truth: str | Path, columns: Columns = USUAL) -> str:
    """Return the accuracy of each group as text.

    Parameters
    ----------
    table
        Of `predict`.
    truth
        CSV, TSV, JSON Lines or Parquet table with the path of each image (as predicted, or relative to the table's
        folder or one below it), its label and, for groups, its attribute.
    columns
        Their names in it.

    Raises
    ------
    UserError
        When a column is missing, no path is found among the predictions, or no label is a class.
    """
    import pandas as pd

    truth = Path(truth)
    known = read_truth(truth, columns)
    known["class"] = known[columns.label]
    known["group"] = known["class"]
    attribute = columns.attribute or "attribute"
    if attribute in known:
        known["group"] += "-" + known[attribute]
    bases = (image_base(truth.parent, known[columns.image].tolist())[0], truth.parent, Path())
    place = {}
    for path, label, group in known[[columns.image, "class", "group"]].itertuples(index=False):
        for base in bases:
            place[one_form(str((base / path).resolve()))] = (label, group)
    own = [place.get(one_form(str(Path(path).resolve()))) for path in table["path"]]
    found = pd.Series(own, dtype=object).dropna()
    if found.empty:
        raise UserError(f"{truth}: none of its paths is one of the {len(table)} images, e.g. {table['path'].iloc[0]}")
    classes = [name.removeprefix("p_") for name in table.columns if name.startswith("p_")]
    if not set(found.str[0]) & set(classes):
        raise UserError(
            f"{truth}: none of its labels ({', '.join(sorted(set(found.str[0]))[:5])}) is a class of the classifier "
            f"({', '.join(classes)}); write these names into its column {columns.label}"
        )
    rows = table.loc[found.index].assign(label=found.str[0], group=found.str[1])
    right = rows["predicted"] == rows["label"]
    counts = rows.assign(right=right).groupby("group")["right"].agg(["sum", "count"])
    correct, count = counts["sum"].astype(int).to_dict(), counts["count"].astype(int).to_dict()
    numbers = summarize(correct, count, count)
    width = max(map(len, count))
    lines = []
    for name in count:
        lines.append(f"{name:{width}}  {100 * correct[name] / count[name]:5.1f} %  {correct[name]} of {count[name]}")
    worst, mean, sample = (f"{numbers[key]:.1f} %" for key in ("wga", "aga", "sample"))
    lines.append(f"worst group {worst}, mean over groups {mean}, all images {sample}")
    return "\n".join(lines)


def main(
    model: str, images: Sequence[str | Path], output: str | None, truth: str | None, columns: Columns = USUAL
) -> int:
    """Write predictions as CSV, tell of broken images and, given a table, of groups; return the exit status.

    Without images those of the table are classified.
    """
    if truth and not images:
        paths = read_truth(truth, columns)[columns.image].tolist()
        base, _ = image_base(Path(truth).parent, paths)
        beside = zip(as_on_disk(base, paths), paths, strict=True)
        images = [path if own is None else base / own for own, path in beside]
    # begun before the work: a place that cannot be written shows at once
    with atomic(output) if output else nullcontext(sys.stdout) as target:
        if isinstance(target, Path):
            target.touch()
        paths, notes = find(images)
        for note in notes:
            print(note, file=sys.stderr)
        table, broken = predict(model, paths)
        table.to_csv(target, index=False, float_format="%.6f", lineterminator="\n")
    for reason in broken.values():
        print(reason, file=sys.stderr)
    if truth:
        print(group_accuracies(table, truth, columns), file=sys.stderr if output is None else sys.stdout)
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
