"""Selection: which synthetic images are used."""

from __future__ import annotations

from pydantic import Field

from fairdream.config.base import Fraction, Section


class Select(Section):
    """Filtering by CLIP score (paper, eq. 1)."""

    fraction: Fraction = Field(description="Share of each group that is kept.")
    alpha: Fraction = Field(description="Weight of CLIP-Label against CLIP-Centroid.")
    alpha_swapped: Fraction = Field(description="The same where groups are swapped: too few images for a centroid.")
    standardize: bool = Field(description="z-score both terms within the group before they are summed.")
    drop_copies: bool = Field(False, description="Leave near copies of training images out of what was selected.")
