"""The table of methods: a row of Table 1 is a row here, and nothing else branches on a method's name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


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
    recipe
        Stage 2: ``"llr_all"`` re-trains the last layer on all real images, ``"stage1_only"`` keeps the
        classifier as it is.
    beta
        Weight of CE in stage 1 where the method fixes it (ERM is CE alone); ``None``: the configuration's.
    adapters_of
        Method whose adapters are used, where it is not the method's own.
    mirrored
        Beyond the paper: every group of a swapped class is drawn from the same adapter with the same form of prompt
        and mirrored negative prompts, so that artefacts of the swap are the same on both sides.
    reimplemented
        Whether the table marks it with a dagger: a peer's method in our implementation.
    """

    title: str
    synthetic: bool
    subjects: Literal["group", "cluster"] | None = None
    sample: Literal["smallest", "capped", "all"] = "all"
    token: bool = False
    recipe: Literal["llr_all", "stage1_only"] = "llr_all"
    beta: float | None = None
    adapters_of: str | None = None
    mirrored: bool = False
    reimplemented: bool = False


# In the order of the paper's Table 1; rows beyond the paper at the end.
METHODS: dict[str, Method] = {
    "erm": Method("ERM", synthetic=False, recipe="stage1_only", beta=1.0),
    "vanilla": Method("Vanilla SD", synthetic=True),
    "lora": Method("LoRA-finetuning", synthetic=True, subjects="group", sample="smallest"),
    "dreambooth": Method("Dreambooth", synthetic=True, subjects="group", sample="capped", token=True),
    "clustered_dreambooth": Method("Clustered Dreambooth", synthetic=True, subjects="cluster", token=True),
    "lora_mirrored": Method(
        "LoRA-finetuning, mirrored", synthetic=True, subjects="group", adapters_of="lora", mirrored=True
    ),
    "dreambooth_mirrored": Method(
        "Dreambooth, mirrored", synthetic=True, subjects="group", token=True, adapters_of="dreambooth", mirrored=True
    ),
    "clustered_dreambooth_mirrored": Method(
        "Clustered Dreambooth, mirrored",
        synthetic=True,
        subjects="cluster",
        token=True,
        adapters_of="clustered_dreambooth",
        mirrored=True,
    ),
}
