"""Thousands of inputs that a user could write, the same ones in each run: each is read, or refused with a sentence."""

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from fairdream.errors import UserError


def fuzz(
    kind: str, cases: st.SearchStrategy, read: Callable[[Any], None], examples: int, tell: Callable[[str], None]
) -> Counter[str]:
    """Call `read` with many cases; tell how many were read and how many refused, and return it.

    `read` asserts what holds of a result. A `UserError` is a refusal; any other exception is a fault, of which
    hypothesis shows the smallest case that it finds.
    """
    ended: Counter[str] = Counter()

    @settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),  # cases that write files are slow, and that is known
        phases=(Phase.generate, Phase.shrink),
    )
    @given(cases)
    def each(case: Any) -> None:
        message = None
        try:
            read(case)
        except UserError as error:
            message = str(error)
        assert message is None or len(message.split()) > 3, f"a refusal without a sentence: {message!r}"
        ended["read" if message is None else "refused"] += 1

    begin = time.process_time()
    each()
    seconds = time.process_time() - begin
    tell(f"fuzz: {kind}: {ended.total()} cases, {ended['read']} read, {ended['refused']} refused ({seconds:.1f} s)")
    return ended


def some(*edits: st.SearchStrategy, most: int = 3) -> st.SearchStrategy:
    """Give a few edits, one after the other; none at all now and then."""
    return st.lists(st.one_of(*edits), max_size=most)


# What happens to files: cut off, bytes altered, something put between them.
DAMAGE = some(
    st.tuples(st.just("cut"), st.floats(0, 1)),
    st.tuples(st.just("flip"), st.floats(0, 1, exclude_max=True), st.integers(0, 7)),
    st.tuples(st.just("put"), st.floats(0, 1), st.sampled_from([b"\0", b"\xff", b"\n", b"{", b'"'])),
    most=2,
)


def damaged(content: bytes, damage: list[tuple]) -> bytes:
    """Return bytes after some of `DAMAGE`."""
    for kind, share, *how in damage:
        at = int(share * len(content))
        if kind == "cut":
            content = content[:at]
        elif kind == "put":
            content = content[:at] + how[0] + content[at:]
        elif content:
            content = content[:at] + bytes([content[at] ^ (1 << how[0])]) + content[at + 1 :]
    return content
