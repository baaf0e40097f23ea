"""The intervals of the tables."""

from __future__ import annotations

from pydantic import Field

from fairdream.config.base import Count, Section


class Uncertainty(Section):
    """Bootstrap intervals of the worst-group accuracies."""

    draws: Count = Field(description="Test sets drawn with replacement.")
    small_group: Count = Field(description="Warn of a test group with fewer images.")
