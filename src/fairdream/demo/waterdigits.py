"""Waterdigits: real handwritten digits on procedural land and water, a biased data set without a download.

As Waterbirds composes birds onto places, waterdigits composes the 1,797 handwritten digits that scikit-learn ships (UCI
Optical Recognition of Handwritten Digits, CC BY 4.0) onto backgrounds that are drawn here. The label is the digit's
parity, the spurious attribute is the background. Notable choices:

- Parity needs the digit to be read, while land and water differ in hue: the background is the easy shortcut.
- In the training split 95 % of each class lie on the aligned background (even on land, odd on water).
- Every test digit appears on both backgrounds, so that groups differ in nothing but what their names say.
- Every image has a random stream of its own, so that its bytes do not depend on which others are drawn.
"""

import csv
from pathlib import Path

import numpy as np

SIZE = 32
LABELS = ("even", "odd")
ATTRIBUTES = ("land", "water")
ALIGNED = {"even": "land", "odd": "water"}
ALIGNED_FRACTION = 0.95
TRAIN_PER_CLASS = 500
TEST_PER_CLASS = 250


def smooth_noise(rng: np.random.Generator, sigma: float | tuple[float, float]) -> np.ndarray:
    """
    Draw Gaussian noise blurred to a length scale, with mean 0 and standard deviation 1.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    sigma : float or tuple of float
        Blur in pixels, one for both axes or (vertical, horizontal).

    Returns
    -------
    numpy.ndarray
        Float array of shape (32, 32).
    """
    from scipy.ndimage import gaussian_filter

    noise = gaussian_filter(rng.standard_normal((SIZE, SIZE)), sigma, mode="wrap")
    return (noise - noise.mean()) / (noise.std() + 1e-8)


def background(attribute: str, rng: np.random.Generator) -> np.ndarray:
    """
    Draw a dull, noisy piece of land (blotches of earth and moss) or of water (uneven horizontal ripples).

    Parameters
    ----------
    attribute : str
        ``land`` or ``water``.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    numpy.ndarray
        RGB image of shape (32, 32, 3), values in 0..1.
    """
    from matplotlib.colors import hsv_to_rgb

    if attribute == "land":
        hue = rng.uniform(0.07, 0.22) + 0.03 * smooth_noise(rng, 3.0)
        relief = 0.6 * smooth_noise(rng, 2.0) + 0.6 * smooth_noise(rng, 1.0)
    elif attribute == "water":
        hue = rng.uniform(0.50, 0.60) + 0.015 * smooth_noise(rng, 3.0)
        rows = np.arange(SIZE)[:, None] + 1.2 * smooth_noise(rng, (2.0, 4.0))
        ripples = np.sin(2 * np.pi * rows / rng.uniform(5.0, 9.0) + rng.uniform(0, 2 * np.pi))
        relief = 0.6 * ripples + 0.6 * smooth_noise(rng, (0.8, 2.0))
    else:
        raise ValueError(f"attribute {attribute!r} is none of {', '.join(ATTRIBUTES)}")
    saturation = np.full((SIZE, SIZE), rng.uniform(0.25, 0.45))
    value = rng.uniform(0.32, 0.50) + rng.uniform(0.04, 0.08) * relief
    return hsv_to_rgb(np.clip(np.stack([hue, saturation, value], axis=-1), 0, 1))


def handwriting(digit: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """
    Enlarge an 8x8 digit into smooth strokes at a slightly varying size and place.

    Parameters
    ----------
    digit : numpy.ndarray
        Ink counts of shape (8, 8), 0..16.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    numpy.ndarray
        Ink coverage of shape (32, 32), values in 0..1.
    """
    from scipy.ndimage import map_coordinates

    scale = SIZE / rng.uniform(25.0, 29.0) * 8 / SIZE
    top, left = rng.uniform(-1.5, 1.5, 2)
    centre = (SIZE - 1) / 2
    rows = (np.arange(SIZE) - centre - top) * scale + 3.5
    columns = (np.arange(SIZE) - centre - left) * scale + 3.5
    grid = np.meshgrid(rows, columns, indexing="ij")
    ink = map_coordinates(digit / 16.0, grid, order=3, mode="constant", cval=0.0)
    return 1 / (1 + np.exp(-(ink - 0.45) * 10))


def compose(digit: np.ndarray, attribute: str, rng: np.random.Generator) -> np.ndarray:
    """
    Write a digit in pale ink on a background, as a camera of poor quality would see it.

    Parameters
    ----------
    digit : numpy.ndarray
        Ink counts of shape (8, 8), 0..16.
    attribute : str
        ``land`` or ``water``.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    numpy.ndarray
        RGB image of shape (32, 32, 3), uint8.
    """
    from scipy.ndimage import gaussian_filter

    picture = background(attribute, rng)
    ink = rng.uniform(0.70, 0.85) + rng.uniform(-0.04, 0.04, 3)
    coverage = handwriting(digit, rng)[..., None] * rng.uniform(0.70, 0.90)
    picture = picture * (1 - coverage) + ink * coverage
    picture = gaussian_filter(picture, (0.5, 0.5, 0)) + 0.025 * rng.standard_normal(picture.shape)
    return (np.clip(picture, 0, 1) * 255).round().astype(np.uint8)


def plan(parity: np.ndarray, rng: np.random.Generator) -> list[tuple[int, str, str]]:
    """
    Decide which digit lies in which split on which background.

    Parameters
    ----------
    parity : numpy.ndarray
        0 for even and 1 for odd, of shape (digits,).
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    list of tuple
        Digit index, attribute and split, one row per image, ordered by split and digit.
    """
    rows = []
    for value, label in enumerate(LABELS):
        aligned, conflicting = ALIGNED[label], next(a for a in ATTRIBUTES if a != ALIGNED[label])
        order = rng.permutation(np.flatnonzero(parity == value))
        train, test, validation = np.split(order, [TRAIN_PER_CLASS, TRAIN_PER_CLASS + TEST_PER_CLASS])
        kept = round(ALIGNED_FRACTION * len(train))
        rows += [(int(i), aligned if n < kept else conflicting, "train") for n, i in enumerate(train)]
        rows += [(int(i), ATTRIBUTES[n % 2], "validation") for n, i in enumerate(validation)]
        rows += [(int(i), attribute, "test") for i in test for attribute in ATTRIBUTES]
    splits = ("train", "validation", "test")
    return sorted(rows, key=lambda row: (splits.index(row[2]), row[0], row[1]))


def write_waterdigits(folder: Path, seed: int = 0) -> None:
    """
    Write the data set: ``images/*.png`` of 32x32 pixels and ``metadata.csv``.

    ``metadata.csv`` has the columns ``path`` (relative to the folder), ``label`` (even, odd), ``attribute`` (land,
    water) and ``split`` (train: 1,000 images, 95 % of each class aligned; validation: 297, balanced over the groups;
    test: 500 digits on both backgrounds each). The same seed gives the same bytes.

    Parameters
    ----------
    folder : Path
        Where to write; made when missing.
    seed : int
        Seeds the splits and every image.
    """
    from PIL import Image
    from sklearn.datasets import load_digits

    digits = load_digits()
    folder = Path(folder)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    rows = plan(digits.target % 2, np.random.default_rng(seed))
    with (folder / "metadata.csv").open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["path", "label", "attribute", "split"])
        for index, attribute, split in rows:
            path = f"images/{index:04d}-{attribute}.png"
            rng = np.random.default_rng([seed, index, ATTRIBUTES.index(attribute)])
            Image.fromarray(compose(digits.images[index], attribute, rng)).save(folder / path)
            table.writerow([path, LABELS[digits.target[index] % 2], attribute, split])
