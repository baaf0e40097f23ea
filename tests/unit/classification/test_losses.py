"""The losses against explicit loops in float64."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from fairdream.classification.losses import stage_loss, supervised_contrastive  # noqa: E402


def reference_supcon(features: np.ndarray, labels: np.ndarray, temperature: float) -> float:
    """Khosla et al. 2020, eq. 2, term by term; anchors without positives do not count."""
    z = [row / math.sqrt(sum(v * v for v in row)) for row in features.astype(np.float64)]
    total, anchors = 0.0, 0
    for i in range(len(z)):
        positives = [p for p in range(len(z)) if p != i and labels[p] == labels[i]]
        if not positives:
            continue
        denominator = sum(math.exp(float(z[i] @ z[a]) / temperature) for a in range(len(z)) if a != i)
        inner = sum(math.log(math.exp(float(z[i] @ z[p]) / temperature) / denominator) for p in positives)
        total += -inner / len(positives)
        anchors += 1
    return total / anchors if anchors else 0.0


def reference_cross_entropy(logits: np.ndarray, labels: np.ndarray) -> float:
    terms = []
    for row, label in zip(logits.astype(np.float64), labels, strict=True):
        terms.append(-math.log(math.exp(row[label]) / sum(math.exp(v) for v in row)))
    return sum(terms) / len(terms)


def batch(labels, dimensions=5, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((len(labels), dimensions)) * 3, np.array(labels)


@pytest.mark.parametrize("temperature", [0.07, 0.5, 2.0])
@pytest.mark.parametrize("labels", [[0, 0, 1, 1], [0, 1, 0, 2, 1, 0, 2], [0, 0, 0, 0], [0, 1, 2, 2], [0, 1, 2]])
def test_supcon_equals_the_formula(labels, temperature):
    features, labels = batch(labels)
    ours = supervised_contrastive(torch.from_numpy(features), torch.from_numpy(labels), temperature).item()
    assert ours == pytest.approx(reference_supcon(features, labels, temperature), abs=1e-6)


def test_supcon_ignores_the_length_of_features_and_the_order_of_images():
    features, labels = batch([0, 1, 0, 1, 1, 2])
    original = supervised_contrastive(torch.from_numpy(features), torch.from_numpy(labels), 0.1)
    scaled = features * np.arange(1, 7)[:, None]
    order = np.array([3, 0, 5, 1, 4, 2])
    changed = supervised_contrastive(torch.from_numpy(scaled[order]), torch.from_numpy(labels[order]), 0.1)
    assert changed.item() == pytest.approx(original.item(), abs=1e-9)


@pytest.mark.parametrize("labels", [[0, 0, 1, 2], [0, 1, 2]])
def test_the_gradient_is_finite_even_where_an_anchor_has_no_positive(labels):
    features, labels = batch(labels)
    inputs = torch.tensor(features, dtype=torch.float32, requires_grad=True)
    supervised_contrastive(inputs, torch.from_numpy(labels), 0.07).backward()
    assert inputs.grad.isfinite().all()
    assert bool(inputs.grad.abs().sum() > 0) == (len(set(labels)) < len(labels))


@pytest.mark.parametrize("beta", [0.0, 0.3, 0.5, 1.0])
def test_stage_loss_weighs_both_terms(beta):
    features, labels = batch([0, 1, 1, 0, 2, 2])
    logits = np.random.default_rng(1).standard_normal((6, 3))
    tensors = [torch.from_numpy(x) for x in (logits, features, labels)]
    expected = beta * reference_cross_entropy(logits, labels) + (1 - beta) * reference_supcon(features, labels, 0.07)
    assert stage_loss(*tensors, beta, 0.07).item() == pytest.approx(expected, abs=1e-6)


def test_with_beta_one_the_features_get_no_gradient():
    features = torch.randn(4, 3, requires_grad=True)
    logits = torch.randn(4, 2, requires_grad=True)
    stage_loss(logits, features, torch.tensor([0, 0, 1, 1]), 1.0, 0.07).backward()
    assert features.grad is None
    assert logits.grad.abs().sum() > 0
