"""Groups without an adapter of their own."""

from __future__ import annotations

from pydantic import Field

from fairdream.config.base import Count, Positive, Ratio, Section


class Swap(Section):
    """When a conflicting group is generated from its class's aligned group (paper, section 4, Fig. 3)."""

    from_ratio: Ratio = Field(description="From this bias ratio on.")
    min_images_for_own_model: Count = Field(description="A group with fewer training images is swapped at any bias.")
    guidance_scale: Positive | None = Field(None, description="Guidance of swapped prompts; none: generate's.")
