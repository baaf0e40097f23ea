"""How the tables are written."""

from __future__ import annotations

from pydantic import Field

from fairdream.config.base import Section


class Tables(Section):
    """How the tables are printed."""

    mark_all_rows: bool = Field(description="Mark best and second among all rows, not only the synthetic-data ones.")
