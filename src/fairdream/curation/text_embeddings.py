"""CLIP embeddings of the words that zero-shot agreement is measured with."""

from __future__ import annotations

from fairdream.config.base import Section
from fairdream.config.models import ClipModel
from fairdream.models import tensor_files
from fairdream.models.clip import Clip


class TextsJob(Section):
    """The CLIP model and the texts of each label and attribute."""

    clip: ClipModel
    labels: dict[str, list[str]]
    attributes: dict[str, list[str]]


def texts(model: str, texts: str, config: TextsJob) -> None:
    """Write a safetensors file with a unit-length vector (d,) for each ``label/NAME`` and ``attribute/NAME``.

    Several texts of a name are averaged, as CLIP's ensembles of prompts are (Radford et al. 2021, section 3.1.4).

    Parameters
    ----------
    model
        Manifest of the CLIP weights.
    """
    import numpy as np

    clip = Clip(config.clip, model)
    vectors = {}
    for kind, names in (("label", config.labels), ("attribute", config.attributes)):
        for name, several in names.items():
            mean = np.mean([clip.embed_text(text).astype(np.float64) for text in several], axis=0)
            vectors[f"{kind}/{name}"] = (mean / np.linalg.norm(mean)).astype(np.float32)
    tensor_files.save(vectors, texts)
