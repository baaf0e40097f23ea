"""Does swapping leave a mark? A probe tells aligned from swapped synthetic images of one class, background masked.

    python bench/swap_probe.py results/demo/waterdigits/0.999

For each method: the cross-validated accuracy (%) of a linear probe on the strokes alone: Otsu's threshold on luminance
keeps the brighter part of the image, and the probe sees its colours' mean and spread, the contrast at its edge and its
noise. Near 50 is right. On the demo it says little: vanilla SD, which swaps nothing, is near 100 too, because at
32 x 32 the strokes' edges carry the background's colour. A better mask is needed before a high figure means a shortcut.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from fairdream.bias import label_of
from fairdream.images import open_rgb, read_pngs


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


def features(png: bytes) -> np.ndarray:
    """Return what the strokes of an image look like (8,)."""
    image = np.asarray(open_rgb(png), np.float64)
    luminance = image @ [0.299, 0.587, 0.114]
    mask = luminance > otsu(luminance.ravel())
    strokes = image[mask]
    edge = np.abs(np.diff(luminance, axis=1))[mask[:, 1:] ^ mask[:, :-1]]
    return np.r_[strokes.mean(0), strokes.std(0), edge.mean() if len(edge) else 0.0, mask.mean()]


def main() -> None:
    """Print one line a method and class."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bias", type=Path, help="folder of one data set at one bias")
    arguments = parser.parse_args()
    print("| method | class | probe accuracy |\n| --- | --- | ---: |")
    for path in sorted(arguments.bias.glob("*/selected/clip.parquet")):
        table = pd.read_parquet(path)
        pngs = {name: png for shard in table["shard"].unique() for name, png in read_pngs(shard).items()}
        for label, rows in table.groupby(table["group"].map(label_of)):
            x = np.stack([features(pngs[name]) for name in rows["id"]])
            y = rows["group"].to_numpy(str)
            probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
            print(f"| {path.parts[-3]} | {label} | {100 * cross_val_score(probe, x, y, cv=5).mean():.1f} |")


if __name__ == "__main__":
    main()
