"""Last layers on frozen features: each method against an independent float64 reference without automatic gradients."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from fairdream.classification import afr, hsfm  # noqa: E402
from fairdream.classification.last_layer import Images, worst_group  # noqa: E402
from fairdream.config.baselines import AfrFit, HsfmValues  # noqa: E402


def problem(count, classes, seed, width=5):
    """Features that show the class, and an attribute that goes with it; each group has an image."""
    generator = np.random.default_rng(seed)
    label = np.arange(count) % classes
    attribute = np.where(generator.random(count) < 0.8, label, (label + 1) % classes)
    attribute[:classes] = (label[:classes] + 1) % classes
    attribute[classes : 2 * classes] = label[classes : 2 * classes]
    features = generator.normal(size=(count, width))
    features[np.arange(count), label] += 1
    features[np.arange(count), attribute] += 2
    return features, label, np.unique(label * classes + attribute, return_inverse=True)[1]


def as_images(features, label, groups) -> Images:
    return Images(torch.tensor(features), torch.tensor(label), torch.tensor(groups))


def layer(classes, width=5):
    """A last layer to start from, which has learnt a little."""
    generator = np.random.default_rng(9)
    return np.eye(classes, width) + 0.2 * generator.normal(size=(classes, width)), 0.2 * generator.normal(size=classes)


def softmax(values):
    exponent = np.exp(values - values.max(1, keepdims=True).real)
    return exponent / exponent.sum(1, keepdims=True)


def worst_share(weight, bias, features, label, groups):
    right = (features @ weight.T + bias).argmax(1) == label
    return min(right[groups == group].mean() for group in range(groups.max() + 1))


def test_the_worst_group_of_several_classifiers():
    right = torch.tensor([[1, 0], [1, 1], [0, 1], [1, 1]]).bool()
    assert worst_group(right, torch.tensor([0, 0, 1, 1])).tolist() == [0.5, 0.5]
    assert worst_group(right, torch.tensor([0, 1, 2, 2])).tolist() == [0.5, 0.0]


def reference_afr(weight, bias, images, held_out, gamma, penalty, rate, steps):
    """Return the layer, score and number of steps of the best step for one gamma and lambda, by the formula alone."""
    features, label, _ = images
    one_hot = np.eye(len(weight))[label]
    mu = np.exp(-gamma * (softmax(features @ weight.T + bias) * one_hot).sum(1)) / np.bincount(label)[label]
    mu /= mu.sum()
    first = np.hstack([weight, bias[:, None]])
    inputs = np.hstack([features, np.ones((len(features), 1))])
    theta, best = first.copy(), (-1.0, None, 0)
    for step in range(1, steps + 1):
        residual = mu[:, None] * (softmax(inputs @ theta.T) - one_hot)
        gradient = residual.T @ inputs + 2 * penalty * (theta - first)
        theta = theta - rate * gradient * min(1, 1 / np.linalg.norm(gradient))
        score = worst_share(theta[:, :-1], theta[:, -1], *held_out)
        if score > best[0]:
            best = (score, theta.copy(), step)
    return best


@pytest.mark.parametrize("classes", [2, 3])
def test_afr_is_the_best_step_of_the_best_gamma_and_lambda(classes):
    weight, bias = layer(classes)
    images, held_out = problem(60, classes, 0), problem(90, classes, 1)
    config = AfrFit(gammas=[0.0, 2.0, 8.0], penalties=[0.0, 0.3], learning_rate=0.5, steps=40)
    runs = [(gamma, penalty) for gamma in config.gammas for penalty in config.penalties]
    found = [reference_afr(weight, bias, images, held_out, *run, config.learning_rate, config.steps) for run in runs]
    score, expected, step = max(found, key=lambda own: own[0])
    assert step > 1
    assert score > worst_share(weight, bias, *held_out)
    got = afr.fit(torch.tensor(weight), torch.tensor(bias), as_images(*images), as_images(*held_out), config)
    assert torch.cat([got[0], got[1][:, None]], 1).numpy() == pytest.approx(expected, abs=1e-6)


def test_afr_s_weights_rise_where_erm_is_unsure_and_balance_classes():
    probabilities, classes = torch.tensor([0.9, 0.1, 0.5, 0.5]).double(), torch.tensor([0, 0, 0, 1])
    plain, sharp = afr.image_weights(probabilities, classes, torch.tensor([0.0, 4.0])).T.tolist()
    assert plain == pytest.approx([1 / 6, 1 / 6, 1 / 6, 1 / 2])
    raw = [np.exp(-3.6) / 3, np.exp(-0.4) / 3, np.exp(-2) / 3, np.exp(-2)]
    assert sharp == pytest.approx([value / sum(raw) for value in raw])


def test_a_long_step_of_afr_is_cut_to_the_norm_one():
    weight, bias = np.zeros((2, 5)), np.zeros(2)
    features, label, groups = problem(60, 2, 0)
    images = as_images(1000 * features, label, groups)
    config = AfrFit(gammas=[1.0], penalties=[0.0], learning_rate=0.25, steps=1)
    got = afr.fit(torch.tensor(weight), torch.tensor(bias), images, images, config)
    assert float(torch.cat([got[0], got[1][:, None]], 1).norm()) == pytest.approx(0.25)


class ReferenceAdam:
    """Kingma & Ba 2015, algorithm 1, on one array."""

    def __init__(self, rate):
        self.rate, self.step, self.mean, self.square = rate, 0, 0.0, 0.0

    def move(self, gradient):
        self.step += 1
        self.mean = 0.9 * self.mean + 0.1 * gradient
        self.square = 0.999 * self.square + 0.001 * gradient**2
        mean, square = self.mean / (1 - 0.9**self.step), self.square / (1 - 0.999**self.step)
        return self.rate * mean / (np.sqrt(square) + 1e-8)


def ones(features):
    return np.hstack([features, np.ones((len(features), 1))])


def ce(theta, features, label):
    """Return each image's CE under a layer (c, d + 1), also of complex values."""
    logits = ones(features) @ theta.T
    logits = logits - logits.max(1, keepdims=True).real
    return np.log(np.exp(logits).sum(1)) - logits[np.arange(len(label)), label]


def reference_hsfm(weight, bias, support, pool, held_out, values: HsfmValues):
    """Return the layer of the best epoch; the second-order gradient comes from steps into the complex plane."""
    moved, label, _ = support
    one_hot = np.eye(len(weight))[label]
    theta, best = np.hstack([weight, bias[:, None]]), (-1.0, None, 0)
    layer_adam, feature_adam = ReferenceAdam(values.inner_rate), ReferenceAdam(values.outer_rate)

    def gradient_of(theta, features):
        return (softmax(ones(features) @ theta.T) - one_hot).T @ ones(features) / len(label)

    def outer(features, hard):
        adapted = theta.astype(complex)
        for _ in range(values.inner_steps):
            adapted = adapted - values.inner_rate * gradient_of(adapted, features)
        return ce(adapted, pool[0][hard], pool[1][hard]).mean()

    for epoch in range(1, values.epochs + 1):
        losses = ce(theta, *pool[:2])
        own = [np.flatnonzero(pool[1] == number) for number in range(len(weight))]
        hard = np.concatenate([rows[np.argsort(-losses[rows])][: values.hard_images] for rows in own])
        for _ in range(values.updates):
            gradient = np.zeros_like(moved)
            for place in np.ndindex(*moved.shape):
                shifted = moved.astype(complex)
                shifted[place] += 1e-30j
                gradient[place] = outer(shifted, hard).imag / 1e-30
            gradient *= min(1, 10 / np.linalg.norm(gradient))
            moved = moved - feature_adam.move(gradient)
        for _ in range(values.inner_steps):
            theta = theta - layer_adam.move(gradient_of(theta, moved))
        score = worst_share(theta[:, :-1], theta[:, -1], *held_out)
        if score >= best[0]:
            best = (score, theta, epoch)
    return best


@pytest.mark.parametrize("classes", [2, 3])
def test_hsfm_is_its_algorithm_with_the_best_epoch_kept(classes):
    weight, bias = layer(classes)
    support, pool, held_out = (problem(count, classes, 3 + count) for count in (4 * classes, 60, 90))
    values = HsfmValues(images=4, inner_steps=3, inner_rate=0.05, updates=2, outer_rate=0.3, hard_images=8, epochs=6)
    score, expected, epoch = reference_hsfm(weight, bias, support, pool, held_out, values)
    assert 1 < epoch < values.epochs
    assert score > worst_share(weight, bias, *held_out)
    got = hsfm.fit(*map(torch.tensor, (weight, bias)), *(as_images(*own) for own in (support, pool, held_out)), values)
    assert torch.cat([got[0], got[1][:, None]], 1).numpy() == pytest.approx(expected, abs=1e-6)


def test_hsfm_s_hard_images_are_those_of_each_class_with_the_highest_loss():
    losses, classes = torch.tensor([0.1, 0.9, 0.5, 0.8, 0.2]), torch.tensor([0, 0, 0, 1, 1])
    assert hsfm.hard_set(losses, classes, 1).tolist() == [1, 3]
    assert hsfm.hard_set(losses, classes, 2).tolist() == [1, 2, 3, 4]
    assert hsfm.hard_set(losses, classes, 9).tolist() == [1, 2, 0, 3, 4]
