"""One row of the table that `make bench` prints: each benchmark tells its own, `bench/table.py` collects them."""

from __future__ import annotations

import json
import os
from typing import NamedTuple

VARIABLE = "FAIRDREAM_BENCH_ROWS"  # the file that rows are added to


class Row(NamedTuple):
    """A speed (the more the better) or a cost (the less the better) beside a peer's and the limit of what is possible.

    Attributes
    ----------
    peer, limit
        In the same unit as `ours`; 0 where there is none.
    peer_name, limit_name
        What they are.
    cost
        Whether less is better.
    goal
        The ratio, or the share of the limit, that we aim at, in words.
    """

    what: str
    unit: str
    ours: float
    peer: float = 0.0
    peer_name: str = ""
    limit: float = 0.0
    limit_name: str = ""
    cost: bool = False
    goal: str = ""

    @property
    def ratio(self) -> float:
        """How many times better than the peer; 0 where there is none."""
        return (self.peer / self.ours if self.cost else self.ours / self.peer) if self.peer else 0.0

    @property
    def share(self) -> float:
        """Speed as a part of the limit's, or cost as a part of the most that is allowed; 0 where there is none."""
        return self.ours / self.limit if self.limit else 0.0


def add(*rows: Row) -> None:
    """Add rows to the file that the environment names; without one there is nobody who collects them."""
    if path := os.environ.get(VARIABLE):
        with open(path, "a", encoding="utf-8") as file:
            file.writelines(json.dumps(row._asdict()) + "\n" for row in rows)
