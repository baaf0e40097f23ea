"""Work done by threads ahead of the loop that uses it, in order and bounded."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

S = TypeVar("S")
T = TypeVar("T")


def prefetch(function: Callable[[S], T], items: Iterable[S], workers: int, depth: int) -> Iterator[T]:
    """Yield `function(item)` for each item in order, computed by threads while the caller works.

    `items` is read by the caller's thread and never more than `depth` items ahead, so it may be a generator that is not
    safe among threads, and of any length. An error of `function` is raised where its result would have come.

    Parameters
    ----------
    workers
        Threads. They help where the function waits or releases the interpreter's lock: reading, decoding, resizing.
    depth
        Results that may be ready or in work before the caller asks for them; what bounds the memory.
    """
    with ThreadPoolExecutor(workers) as pool:
        waiting: deque[Future[T]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > depth:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
