"""The table of methods: a row of a table is a row here, and nothing else branches on a method's name."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, Literal


@dataclass(frozen=True)
class Method:
    """What sets one method apart.

    Attributes
    ----------
    title
        Its name in printed tables.
    synthetic
        Whether stage 1 learns from generated images; otherwise it learns from the real training set.
    subjects
        What one adapter learns: ``"group"`` or ``"cluster"``; ``None``: no adapter, so the images do not depend on the
        bias.
    sample
        Images of a group that its adapter may see: as many as the smallest group that trains a model has
        (``"smallest"``), at most `subjects.dreambooth_images` (``"capped"``), or ``"all"``.
    token
        Whether the adapter binds the images to a token [V], which then stands in the prompt.
    own_prompts
        Whether images are drawn from FFR's own, more specific prompts instead of those of the groups.
    selection
        Which images stage 1 learns from; see `select`. ``"real"``: the training set.
    loss
        What stage 1 minimises: ``"supcon"`` (the paper's CE + SupCon), ``"ce"``, ``"gdro"``, or ``"jtt"``.
    batches
        What batches of stage 1 take equally often: ``"group"``, ``"class"``, or ``"all"`` images alike.
    holds_back
        Whether stage 1 leaves a part of the training images to stage 2.
    checkpoints
        Whether early states of the network are kept for stage 2.
    stage1_of
        Method whose stage 1 this one goes on from, where it is not its own.
    recipe
        Stage 2; one of `RECIPES`.
    adapters_of
        Method whose adapters are used, where it is not the method's own.
    mirrored
        Beyond the paper: every group of a swapped class is drawn from the same adapter with the same form of prompt
        and mirrored negative prompts, so that artefacts of the swap are the same on both sides.
    clusters
        k where the name states one; ``None``: the plan's.
    generation
        Number of the generator's repetition; 0: the first.
    beyond
        Whether the row is not one of the paper's Table 1.
    reimplemented
        Whether the table marks it with a dagger: a peer's method in our implementation.
    """

    title: str
    synthetic: bool
    subjects: Literal["group", "cluster"] | None = None
    sample: Literal["smallest", "capped", "all"] = "all"
    token: bool = False
    own_prompts: bool = False
    selection: str = "clip"
    loss: Literal["supcon", "ce", "gdro", "jtt"] = "supcon"
    batches: Literal["group", "class", "all"] = "group"
    holds_back: bool = False
    checkpoints: bool = False
    stage1_of: str | None = None
    recipe: str = "llr_all"
    adapters_of: str | None = None
    mirrored: bool = False
    clusters: int | None = None
    generation: int = 0
    beyond: bool = False
    reimplemented: bool = False


def _real(
    title: str,
    loss: Literal["ce", "gdro", "jtt"],
    batches: Literal["group", "class", "all"],
    recipe: str,
    **values: Any,
) -> Method:
    return Method(title, synthetic=False, selection="real", loss=loss, batches=batches, recipe=recipe, **values)


# What stage 2 does; see `retrain`.
RECIPES = (
    "stage1_only",
    "llr_all",
    "llr_balanced",
    "ft_all",
    "ft_balanced",
    "gdro",
    "self",
    "dfr",
    "afr",
    "hsfm",
    "dfr_synthetic",
)

# In the order of the paper's Table 1; then rows beyond it, of Table 2 and of our own.
METHODS: dict[str, Method] = {
    "erm": _real("ERM", "ce", "all", "stage1_only"),
    "ffr": Method(
        "FFR", synthetic=True, own_prompts=True, selection="nongrey", loss="ce", recipe="ft_all", reimplemented=True
    ),
    "vanilla": Method("Vanilla SD", synthetic=True),
    "lora": Method("LoRA-finetuning", synthetic=True, subjects="group", sample="smallest"),
    "dreambooth": Method("DreamBooth", synthetic=True, subjects="group", sample="capped", token=True),
    "clustered_dreambooth": Method("Clustered DreamBooth", synthetic=True, subjects="cluster", token=True),
    "gdro": _real("GDRO", "gdro", "group", "stage1_only", reimplemented=True),
    "self": _real("SELF", "ce", "class", "self", checkpoints=True, reimplemented=True),
    "clustered_dreambooth_gdro": Method(
        "Clustered DreamBooth + GDRO",
        synthetic=True,
        subjects="cluster",
        token=True,
        stage1_of="clustered_dreambooth",
        recipe="gdro",
        beyond=True,
    ),
    "dfr": _real("DFR", "ce", "all", "dfr", stage1_of="erm", beyond=True, reimplemented=True),
    "jtt": _real("JTT", "jtt", "all", "stage1_only", beyond=True, reimplemented=True),
    "afr": _real("AFR", "ce", "all", "afr", holds_back=True, beyond=True, reimplemented=True),
    "hsfm": _real("HSFM", "ce", "all", "hsfm", stage1_of="erm", beyond=True, reimplemented=True),
    "dfr_synthetic": _real(
        "DFR on synthetic images", "ce", "all", "dfr_synthetic", stage1_of="erm", beyond=True, reimplemented=True
    ),
    "lora_mirrored": Method(
        "LoRA-finetuning, mirrored",
        synthetic=True,
        subjects="group",
        adapters_of="lora",
        mirrored=True,
        beyond=True,
    ),
    "dreambooth_mirrored": Method(
        "DreamBooth, mirrored",
        synthetic=True,
        subjects="group",
        token=True,
        adapters_of="dreambooth",
        mirrored=True,
        beyond=True,
    ),
    "clustered_dreambooth_mirrored": Method(
        "Clustered DreamBooth, mirrored",
        synthetic=True,
        subjects="cluster",
        token=True,
        adapters_of="clustered_dreambooth",
        mirrored=True,
        beyond=True,
    ),
}


# A name in a path: a row, for an ablation with another number of clusters, for another seed of the generator.
VARIANT = r"(?P<row>.+?)(?P<suffix>(_k(?P<clusters>[1-9]\d*))?(_g(?P<generation>[1-9]\d*))?)"


def method_of(name: str) -> Method:
    """Return a row, or a variant of one: ``lora_g1``, ``clustered_dreambooth_k5``."""
    match = re.fullmatch(VARIANT, name)
    assert match
    row, suffix = METHODS[match["row"]], match["suffix"]
    return replace(
        row,
        clusters=int(match["clusters"]) if match["clusters"] else None,
        generation=int(match["generation"] or 0),
        adapters_of=row.adapters_of and row.adapters_of + suffix,
        stage1_of=row.stage1_of and row.stage1_of + suffix,
    )


def base_of(name: str) -> str:
    """Return the row that a variant is one of."""
    match = re.fullmatch(VARIANT, name)
    assert match
    return match["row"]


def row_of(method: str, recipe: str) -> str | None:
    """Return the row that a classifier of a method with a recipe belongs to; ``None``: one of an ablation alone."""
    base = base_of(method)
    if METHODS[base].recipe == recipe and METHODS[base].stage1_of is None:
        return base
    return next((row for row, own in METHODS.items() if (own.stage1_of, own.recipe) == (base, recipe)), None)
