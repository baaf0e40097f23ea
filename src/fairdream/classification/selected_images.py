"""The features of synthetic images that were selected, for a last layer that learns from them."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING

from fairdream.classification import classifier, dfr
from fairdream.data.images import read_pngs
from fairdream.runtime.job import LOGGER

if TYPE_CHECKING:
    import numpy as np
    import torch


def features_of(
    network: classifier.Network, selected: str, count: int, image_size: int, generator: np.random.Generator
) -> tuple[torch.Tensor, np.ndarray]:
    """Return the features (n, d) and groups (n,) of `count` images of each group by chance, or of all that it has.

    Parameters
    ----------
    selected
        The selection of synthetic images.
    image_size
        Pixels a side that the network takes.
    """
    import pandas as pd

    chosen = pd.read_parquet(selected)
    chosen = chosen.iloc[dfr.balanced_subset(chosen["group"].to_numpy(str), generator, count)]
    if (there := int(chosen["group"].value_counts().min())) < count:
        LOGGER.warning("%d selected images of each group were asked for; the smallest group has %d", count, there)
    # shard by shard, of which few images are kept
    pngs: dict[str, bytes] = {}
    for shard, rows in chosen["id"].groupby(chosen["shard"], sort=False):
        of_shard = read_pngs(str(shard))
        pngs |= {name: of_shard[name] for name in rows}
    with tempfile.TemporaryDirectory() as folder:
        pixels = classifier.decode(enumerate(pngs[name] for name in chosen["id"]), len(chosen), image_size, folder)
        return classifier.encode(network, pixels, network.head.weight.device), chosen["group"].to_numpy(str)
