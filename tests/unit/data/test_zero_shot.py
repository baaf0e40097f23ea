"""Zero-shot attributes: an ensemble of texts a value, and the nearest one with its probability."""

import numpy as np
import pytest

from fairdream.data.zero_shot import nearest, prototype


def test_a_prototype_is_the_normalised_mean_of_normalised_texts():
    texts = {"a": np.array([2.0, 0.0]), "b": np.array([0.0, 5.0])}
    assert prototype(["a", "b"], texts.get) == pytest.approx(np.sqrt([0.5, 0.5]))


def test_the_nearest_value_wins_with_its_softmax_at_a_fiftieth():
    embeddings = np.array([[1.0, 0.0], [0.6, 0.8]], np.float32)
    found, confidence = nearest(embeddings, np.eye(2))
    assert found.tolist() == [0, 1]
    assert confidence == pytest.approx([1 / (1 + np.exp(-50)), 1 / (1 + np.exp(-10))])
