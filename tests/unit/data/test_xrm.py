"""XRM marks what conflicts with a shortcut from class labels alone, and says where there is nothing to find."""

import numpy as np
import pytest

from fairdream.data import xrm
from fairdream.errors import UserError

# as docs/errors.md has it
NO_SHORTCUT = "do the heads err on some images of every class"


def biased(seed: int, classes: int = 2, conflicting: int = 6, each: int = 120) -> tuple[np.ndarray, ...]:
    """Features that show a strong shortcut and a weak class; the class of each image, and the shortcut's."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), each)
    shortcut = labels.copy()
    for label in range(classes):
        shortcut[label * each : label * each + conflicting] = (label + 1) % classes
    features = 0.3 * rng.standard_normal((len(labels), 24))
    features[np.arange(len(labels)), shortcut] += 2.0
    features[np.arange(len(labels)), classes + labels] += 0.4
    return 50 + 9 * features, labels, shortcut  # far from standardised


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("seed", [0, 1])
def test_it_marks_the_conflicting_images_and_no_other_and_names_what_they_look_like(classes, seed):
    features, labels, shortcut = biased(seed, classes)
    twins = xrm.fit(features, labels, classes, seed)
    found, confidence = twins.mark(features, labels)
    assert (found == shortcut).all()
    assert twins.flipped == pytest.approx(6 / 120)
    assert ((confidence > 1 / classes) & (confidence <= 1)).all()


def test_the_heads_mark_images_that_they_have_not_learnt_from():
    features, labels, _ = biased(0)
    twins = xrm.fit(features, labels, 2, 0)
    others, classes, shortcut = biased(7, conflicting=60)
    assert (twins.mark(others, classes)[0] == shortcut).mean() > 0.97


def test_a_seed_gives_the_same_heads():
    features, labels, _ = biased(0)
    one, same, other = (xrm.fit(features, labels, 2, seed) for seed in (3, 3, 4))
    assert (one.weights == same.weights).all()
    assert (one.weights != other.weights).any()


def test_a_class_without_an_exception_is_refused_with_the_reason():
    features, labels, _ = biased(0, conflicting=0)
    with pytest.raises(UserError, match=rf"{NO_SHORTCUT}.*show no shortcut.*no exception in some class.*by heart"):
        xrm.fit(features, labels, 2, 0)


def test_a_feature_that_never_differs_is_nothing():
    features, labels, shortcut = biased(0)
    flat = np.hstack([features, np.full((len(labels), 1), 7.0)])
    assert (xrm.fit(flat, labels, 2, 0).mark(flat, labels)[0] == shortcut).all()


def test_a_step_follows_the_gradient_of_the_sum_of_the_classes_mean_losses(monkeypatch):
    """Against torch's own differentiation, with no label flipped."""
    torch = pytest.importorskip("torch")
    features, labels, _ = biased(0)
    labels = np.concatenate([labels[:120], labels[120:160]])  # classes of unequal size
    features = features[: len(labels)] - features.mean(0)
    monkeypatch.setattr(xrm, "STEPS", 2)
    rng = np.random.default_rng(0)
    first = np.random.default_rng(0).random(len(labels)) < 0.5

    class NeverFlips:
        def __init__(self):
            self.calls = 0

        def random(self, n):
            self.calls += 1
            return rng.random(n) if self.calls == 1 else np.ones(n)

    weights, flipped = xrm._train(features, labels, 2, [(0.01, 0.3)], NeverFlips())
    assert flipped[0] == 0
    heads = [torch.zeros(2, features.shape[1], dtype=torch.float64, requires_grad=True) for _ in range(2)]
    optimizer = torch.optim.SGD(heads, lr=0.01, momentum=0.9, weight_decay=0.3)
    x, y = torch.from_numpy(features), torch.from_numpy(labels)
    for _ in range(2):
        held_in = torch.where(torch.from_numpy(first)[:, None], x @ heads[0].T, x @ heads[1].T)
        losses = torch.nn.functional.cross_entropy(held_in, y, reduction="none")
        optimizer.zero_grad()
        sum(losses[y == label].mean() for label in range(2)).backward()
        optimizer.step()
    assert np.allclose(weights[0], np.stack([head.detach().numpy() for head in heads]), atol=1e-12)
