"""Does swapping leave a mark? A probe tells aligned from swapped synthetic images of one class, background masked.

    python bench/swap_probe.py results/demo/waterdigits/0.999

For the real test images and each method's selection: the balanced, cross-validated accuracy (%) of a linear probe on
the strokes' cores alone: Otsu's threshold on luminance keeps the brighter part of the image, whose outermost pixels,
into which the background bleeds, are taken off; the probe sees the colours' mean and spread and the core's share of the
image. 50 is chance. Where ink is translucent, as in the demo, real images are above it too: a method's strokes say more
about their background than real ones by the difference to the first rows.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from fairdream.data.groups import label_of
from fairdream.data.images import open_rgb, read_pngs


def otsu(values: np.ndarray) -> float:
    """Return the threshold that separates values (n,) in 0..255 into two classes with the least variance within."""
    counts, edges = np.histogram(values, bins=64, range=(0, 255))
    centers = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    sums = np.cumsum(counts * centers)
    with np.errstate(invalid="ignore", divide="ignore"):
        between = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    return float(centers[np.nanargmax(between)])


def features(source: bytes | Path) -> np.ndarray:
    """Return what the strokes' cores look like (7,); NaN when the image has none."""
    from scipy.ndimage import binary_erosion

    image = np.asarray(open_rgb(source), np.float64)
    luminance = image @ [0.299, 0.587, 0.114]
    core = binary_erosion(luminance > otsu(luminance.ravel()))
    if core.sum() < 3:
        return np.full(7, np.nan)
    strokes = image[core]
    return np.r_[strokes.mean(0), strokes.std(0), core.mean()]


def accuracy(features: np.ndarray, groups: np.ndarray) -> float:
    """Return the balanced accuracy in per cent of a cross-validated linear probe."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    keep = np.isfinite(features).all(axis=1)
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    return 100 * cross_val_score(probe, features[keep], groups[keep], cv=5, scoring="balanced_accuracy").mean()


def rows(bias: Path) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield a name, features (n, 7) and groups (n,): of the real test images, then of each method's selection."""
    split = pd.read_parquet(bias / "split.parquet")
    test = split[split["split"] == "test"]
    files = [Path(folder, path) for folder, path in zip(test["folder"], test["path"], strict=True)]
    yield "(real test images)", np.stack([features(file) for file in files]), test["group"].to_numpy(str)
    for path in sorted(bias.glob("*/selected/clip.parquet")):
        table = pd.read_parquet(path)
        pngs = {name: png for shard in table["shard"].unique() for name, png in read_pngs(shard).items()}
        yield path.parts[-3], np.stack([features(pngs[name]) for name in table["id"]]), table["group"].to_numpy(str)


def main() -> None:
    """Print one line per method and class."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bias", type=Path, help="folder of one data set at one bias")
    arguments = parser.parse_args()
    print("| images | class | probe accuracy |\n| --- | --- | ---: |")
    for name, values, groups in rows(arguments.bias):
        labels = np.array([label_of(group) for group in groups])
        for label in np.unique(labels):
            here = labels == label
            print(f"| {name} | {label} | {accuracy(values[here], groups[here]):.1f} |")


if __name__ == "__main__":
    main()
