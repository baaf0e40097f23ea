"""How subjects are made: the images that each adapter learns."""

from __future__ import annotations

from pydantic import Field

from fairdream.config.base import Count, Section


class Subjects(Section):
    """Which training images each generator learns (paper, sections 3.1 and 4.2)."""

    dreambooth_images: Count = Field(description="DreamBooth: min(this, |g|) images of each group.")
    images_per_cluster: Count = Field(description="k = max(1, min(round(M / this), max_clusters)).")
    max_clusters: Count = Field(description="Upper limit of k, and so of the adapters of a group.")
    min_cluster_size: Count = Field(description="A smaller cluster takes its nearest images from its neighbours.")
    n_init: Count = Field(description="Restarts of k-means.")
