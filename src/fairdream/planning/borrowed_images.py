"""Rows whose last layer learns from another row's synthetic images: told where the other row has none for them."""

from __future__ import annotations

from fairdream.config.root import Config
from fairdream.errors import UserError
from fairdream.methods import method_of
from fairdream.planning import plan


def check(config: Config) -> None:
    """Refuse images of a row that draws none, that the run does not have, or has not at each of its biases.

    Raises
    ------
    UserError
        Names the key, the row and what to do.
    """
    asked = [row for row in config.methods if method_of(row).recipe == "dfr_synthetic"]
    if not asked and "dfr_synthetic" not in config.ablations.recipes:
        return
    key, name = "baselines.dfr_synthetic.images_of", config.baselines.dfr_synthetic.images_of
    row = method_of(name)
    if not row.synthetic or row.stage1_of:
        raise UserError(f"{key}: {name} generates no images of its own; name a row that does, such as vanilla")
    if name not in config.methods:
        raise UserError(f"{key}: {name} is none of methods; add it to them, or name one of them that draws images")
    for dataset in config.datasets:
        for bias in plan.biases(config):
            if not plan.exists_at(config, dataset, bias, name):
                raise UserError(f"{key}: {name} has no images of {dataset} at bias {bias}; name another row")
