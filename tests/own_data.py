"""Data sets of one's own for tests of `fairdream new-dataset`: images of cats, dogs and sea lions on three grounds."""

import io
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fairdream.cli.app import app
from fairdream.config.root import load_config
from fairdream.data.index import index
from fairdream.data.manifest import write_manifest
from fairdream.errors import UserError

ROOT = Path(__file__).resolve().parents[1]
LABELS, ATTRIBUTES = ("cat", "dog", "sea-lion"), ("grass", "snow", "wet sand")
# images of each group, uneven, and of one group none at all
SIZES = {("cat", "grass"): 12, ("dog", "snow"): 20, ("sea-lion", "wet sand"): 30, ("sea-lion", "grass"): 0}
ROWS = [
    (f"{label[0]}{attribute[0]}{number:02d}.png", label, attribute)
    for label in LABELS
    for attribute in ATTRIBUTES
    for number in range(SIZES.get((label, attribute), 6))
]
NAMES = {"sea-lion": "sea_lion", "wet sand": "wet_sand"}
GROUPS = Counter(f"{NAMES.get(label, label)}-{NAMES.get(attribute, attribute)}" for _, label, attribute in ROWS)
SPLITS = ("train", "train", "train", "validation", "test", "test")


def main(words: list[str]) -> None:
    """Call `fairdream new-dataset`."""
    app.main(["new-dataset", *words], prog_name="fairdream", standalone_mode=False)


def png(number: int) -> bytes:
    buffer = io.BytesIO()
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[0, 0] = (number % 256, number // 256, 7)
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def with_splits() -> list[tuple[str, str, str, str]]:
    """The rows with a split: of each group's images some for each."""
    seen: Counter = Counter()
    rows = []
    for name, label, attribute in ROWS:
        rows.append((name, label, attribute, SPLITS[seen[label, attribute] % 6]))
        seen[label, attribute] += 1
    return rows


EXPECTED = Counter((NAMES.get(y, y), NAMES.get(a, a), split) for _, y, a, split in with_splits())


def table(home: Path, rows=None, columns=("path", "label", "attribute", "split"), **written) -> Path:
    """Images in a folder and a table beside it."""
    folder = home / "data/pets"
    for number, (name, *_) in enumerate(ROWS):
        write(folder / "images" / name, png(number))
    frame = pd.DataFrame(with_splits() if rows is None else rows, columns=columns)
    for file in written.get("files", ["metadata.csv"]):
        frame.to_parquet(folder / file) if file.endswith("parquet") else frame.to_csv(folder / file, index=False)
    return folder


def indexed(home: Path, name: str = "pets") -> pd.DataFrame:
    """What a run reads of the data set by the configuration that was written; its counts are checked there."""
    config = load_config(home / f"config/{name}.yaml")
    source = config.datasets[name].reading()
    write_manifest(str(home / "manifest.parquet"), source)
    index(str(home / "manifest.parquet"), str(home / "index.parquet"), source, config.seed)
    return pd.read_parquet(home / "index.parquet")


def found(home: Path, name: str = "pets") -> Counter:
    read = indexed(home, name)
    return Counter(zip(read["label"], read["attribute"], read["split"], strict=True))


def refused(*arguments: str) -> str:
    with pytest.raises(UserError) as error:
        main(list(arguments))
    return str(error.value)
