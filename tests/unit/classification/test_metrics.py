"""Accuracies against fractions worked out by hand."""

from fractions import Fraction

import pytest

from fairdream.classification.metrics import summarize

CORRECT = {"a-x": 45, "a-y": 1, "b-x": 7, "b-y": 20}
COUNT = {"a-x": 50, "a-y": 3, "b-x": 9, "b-y": 20}
TRAIN = {"a-x": 900, "a-y": 10, "b-x": 30, "b-y": 400}


def test_the_four_numbers_equal_exact_fractions():
    accuracy = {g: Fraction(100 * CORRECT[g], COUNT[g]) for g in COUNT}
    expected = {
        "wga": Fraction(100, 3),
        "aga": sum(accuracy.values()) / 4,
        "weighted": sum(accuracy[g] * TRAIN[g] for g in COUNT) / 1340,
        "sample": Fraction(100 * 73, 82),
    }
    assert summarize(CORRECT, COUNT, TRAIN) == pytest.approx({k: float(v) for k, v in expected.items()}, abs=1e-9)


def test_a_group_that_the_test_set_lacks_weighs_nothing():
    correct, count = {"a-x": 1, "b-y": 3}, {"a-x": 2, "b-y": 4}
    numbers = summarize(correct, count, TRAIN)
    assert numbers["weighted"] == pytest.approx((50 * 900 + 75 * 400) / 1300)
    assert numbers["wga"] == 50


def test_a_group_that_is_always_wrong_counts():
    assert summarize({"a-x": 0, "b-y": 4}, {"a-x": 2, "b-y": 4}, TRAIN)["wga"] == 0
