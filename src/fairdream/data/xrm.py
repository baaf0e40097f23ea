"""XRM: which training images conflict with the shortcut, from class labels alone.

Cross-risk minimisation (Pezeshki et al. 2023, arXiv 2309.16748), written from its definition. Two heads learn the
class, each from a random half of the images. Where a head is sure of an image that it has not learnt from, that image's
label is flipped to what the head says. So both are driven to the shortcut, and what they err on in the end conflicts
with it.

Notable choices:

- The heads are linear, on frozen standardised features, and begin at zero. A step takes all images at once.
- A flip goes by the prediction that the step began with, so a step has one pass over the images and not two.
- Rates and decays are a grid, of which all settings are trained at once; the paper draws them at random. Weight decay
  decides most: without it the heads learn the conflicting images by heart before their labels have flipped.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fairdream.errors import UserError

if TYPE_CHECKING:
    import numpy as np

RATES = (1e-3, 1e-2, 1e-1)
DECAYS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
MOMENTUM = 0.9
STEPS = 500


@dataclass(frozen=True)
class Twins:
    """Two heads and the setting that they were trained with.

    Attributes
    ----------
    weights
        (2, classes, d), on features standardised with `mean` and `scale`, (d,).
    flipped
        Share of the training images whose label had been flipped at the end.
    rate, decay
        The setting that was chosen.
    """

    weights: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    flipped: float
    rate: float
    decay: float

    def mark(self, features: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return which class each image looks like by the shortcut, and the confidence in that, both (n,).

        An image that both heads classify right looks like its own class. One that either head errs on looks like the
        class that the surer of the erring heads names: it conflicts.

        Parameters
        ----------
        features
            (n, d).
        labels
            (n,) of classes' numbers.

        Returns
        -------
        tuple
            Classes' numbers, and confidences: of a conflicting image the highest probability, over the heads, that it
            is not of its class; of another the lowest one that it is.
        """
        import numpy as np

        inputs = (features.astype(np.float64) - self.mean) / self.scale
        probable = _softmax(np.einsum("hcd,nd->hcn", self.weights, inputs))  # (2, classes, n)
        own = np.take_along_axis(probable, labels[None, None], 1)[:, 0]  # (2, n)
        named = probable.argmax(1)
        wrong = named != labels
        surest = np.where(wrong, probable.max(1), -1.0).argmax(0)
        conflicts = wrong.any(0)
        looks_like = np.where(conflicts, np.take_along_axis(named, surest[None], 0)[0], labels)
        return looks_like, np.where(conflicts, 1 - own.min(0), own.min(0))


def fit(features: np.ndarray, labels: np.ndarray, classes: int, seed: int) -> Twins:
    """Train twins with each setting of the grid and return those that flipped most labels in the end.

    The choice needs no attribute. A setting is out where a class has conflicting images alone, or none: nothing is told
    apart in it.

    Parameters
    ----------
    features
        (n, d), of the training images.
    labels
        (n,), from 0 to `classes` - 1.

    Raises
    ------
    UserError
        When no setting tells images of every class apart.
    """
    import numpy as np

    mean, scale = features.mean(0, dtype=np.float64), features.std(0, dtype=np.float64)
    scale[scale == 0] = 1.0  # what is the same everywhere says nothing, and is 0 when centred
    settings = list(itertools.product(RATES, DECAYS))
    weights, flipped = _train((features - mean) / scale, labels, classes, settings, np.random.default_rng(seed))
    best = None
    for own, share, (rate, decay) in zip(weights, flipped, settings, strict=True):
        twins = Twins(own, mean, scale, float(share), rate, decay)
        conflicts = twins.mark(features, labels)[0] != labels
        of_class = [conflicts[labels == label].mean() for label in range(classes)]
        if all(0 < part < 1 for part in of_class) and (best is None or twins.flipped > best.flipped):
            best = twins
    if best is None:
        raise UserError(
            f"XRM: with none of {len(settings)} settings do the heads err on some images of every class and not on "
            "others. Either the features show no shortcut, or it has no exception in some class, or the features tell "
            "the classes apart so well that the heads have learnt the exceptions by heart. Name the attribute's values "
            "in words instead, or take a CLIP model with other features (models.clip)"
        )
    return best


def _train(
    inputs: np.ndarray, labels: np.ndarray, classes: int, settings: list[tuple[float, float]], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return weights (settings, 2, classes, d) and the share of flipped labels (settings,).

    The loss is the sum over the classes of the mean cross-entropy of the held-in predictions, by the labels as they are
    flipped. A label becomes the held-out prediction with probability (p - 1/C) C / (C - 1), p that prediction's own.
    """
    import numpy as np

    n, d = inputs.shape
    rate, decay = (np.array(values)[:, None, None, None] for values in zip(*settings, strict=True))
    first = rng.random(n) < 0.5  # learnt by the first head, the others by the second
    learns = np.stack([first, ~first])[:, None]  # (2, 1, n)
    one_hot = np.eye(classes)
    targets = np.repeat(one_hot[labels].T[None], len(settings), 0)  # (settings, classes, n)
    weights = np.zeros((len(settings), 2, classes, d))
    velocity = np.zeros_like(weights)
    columns = np.ascontiguousarray(inputs.T)
    for _ in range(STEPS):
        probable = _softmax((weights.reshape(-1, d) @ columns).reshape(len(settings), 2, classes, n))
        held_in = np.where(first, probable[:, 0], probable[:, 1])
        held_out = np.where(first, probable[:, 1], probable[:, 0])
        of_class = np.maximum(targets.sum(-1, keepdims=True), 1)
        slope = (held_in - targets) * (targets / of_class).sum(1, keepdims=True)  # (settings, classes, n)
        gradient = ((slope[:, None] * learns).reshape(-1, n) @ inputs).reshape(weights.shape)
        velocity = MOMENTUM * velocity + gradient + decay * weights
        weights -= rate * velocity
        chance = (held_out.max(1) - 1 / classes) * classes / (classes - 1)
        setting, image = np.nonzero(rng.random(n) < chance)
        targets[setting, :, image] = one_hot[held_out.argmax(1)[setting, image]]
    return weights, (targets.argmax(1) != labels).mean(1)


def _softmax(logits: np.ndarray) -> np.ndarray:
    """Return probabilities over the last axis but one."""
    import numpy as np

    powers = np.exp(logits - logits.max(-2, keepdims=True))
    return powers / powers.sum(-2, keepdims=True)
