"""Is a method above ERM beyond doubt? Paired bootstrap of worst-group accuracy over the test images of a finished run.

    python bench/accuracy.py results/demo

Test images are drawn with replacement within each group, the same ones for both classifiers and all seeds (paired);
the difference is between means over seeds of the WGA. Printed: the difference and its 95 % percentile interval.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd

REFERENCE = "erm"


def correct(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return whether each test image is right (seeds, n), in the order of ids, and each image's group (n,)."""
    rows, groups = [], None
    for path in sorted(folder.glob("classifiers/*/seed*/*.predictions.parquet")):
        table = pd.read_parquet(path)
        table = table[table["split"] == "test"].sort_values("id")
        rows.append((table["predicted"] == table["label"]).to_numpy())
        groups = table["group"].to_numpy(str)
    return np.stack(rows), groups


def wga(right: np.ndarray, samples: list[np.ndarray]) -> float:
    """Return the mean over seeds of the worst group's accuracy in per cent."""
    return 100 * float(np.mean(np.min([right[:, sample].mean(axis=1) for sample in samples], axis=0)))


def main() -> None:
    """Print one line a method and bias."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--draws", type=int, default=2000)
    arguments = parser.parse_args()
    print("| data set | bias | method | WGA | above ERM | 95 % interval |\n| --- | --- | --- | ---: | ---: | --- |")
    for reference in sorted(arguments.results.glob(f"*/*/{REFERENCE}")):
        erm, groups = correct(reference)
        members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
        for folder in sorted(reference.parent.iterdir()):
            if not (folder / "classifiers").is_dir() or folder == reference:
                continue
            right, _ = correct(folder)
            generator = np.random.default_rng(0)
            differences = []
            for _ in range(arguments.draws):
                samples = [generator.choice(part, len(part)) for part in members]
                differences.append(wga(right, samples) - wga(erm, samples))
            low, high = np.percentile(differences, [2.5, 97.5])
            names = json.loads(next(folder.glob("classifiers/*/seed*/*.metrics.json")).read_text())
            point = wga(right, members)
            print(
                f"| {names['dataset']} | {names['bias']} | {names['method']} | {point:.1f} "
                f"| {point - wga(erm, members):+.1f} | {low:+.1f} to {high:+.1f} |"
            )


if __name__ == "__main__":
    main()
