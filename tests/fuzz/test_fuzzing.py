"""The fuzzer itself: it counts what it runs, runs the same each time, and finds what it is for."""

import pytest
from fuzzing import DAMAGE, damaged, fuzz
from hypothesis import strategies as st

from fairdream.errors import UserError


def test_what_is_read_and_refused_is_counted_and_told():
    told: list[str] = []

    def read(case: int) -> None:
        if case > 50:
            raise UserError(f"{case}: more than there are")

    ended = fuzz("numbers", st.integers(0, 99), read, 100, told.append)
    assert ended.total() == 100
    assert min(ended.values()) > 20
    assert told[0].startswith(f"fuzz: numbers: 100 cases, {ended['read']} read, {ended['refused']} refused")


def test_cases_are_the_same_in_each_run():
    runs: list[list] = [[], []]
    for seen in runs:
        fuzz("damage", DAMAGE, seen.append, 50, lambda text: None)
    assert runs[0] == runs[1]
    assert len({damaged(bytes(9), case) for case in runs[0]}) > 20


@pytest.mark.parametrize("fault", [KeyError("a"), AssertionError("b"), UserError("Oops")])
def test_a_traceback_a_wrong_result_and_a_refusal_without_a_sentence_are_found(fault):
    def read(case: int) -> None:
        if case > 50:
            raise fault

    with pytest.raises((KeyError, AssertionError)):
        fuzz("numbers", st.integers(0, 99), read, 100, lambda text: None)
