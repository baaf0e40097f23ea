"""CLIP through open_clip: normalised embeddings of images and texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from fairdream.basemodel import model_path
from fairdream.config import ClipModel
from fairdream.device import best_device
from fairdream.job import progress

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image


class Clip:
    """A loaded CLIP model.

    Parameters
    ----------
    config
        Which model.
    manifest
        Its manifest, which knows where `fetch_model` has put the weights.
    """

    def __init__(self, config: ClipModel, manifest: str):
        import open_clip

        self.device = best_device()
        weights = None if config.pretrained is None else model_path(manifest)
        # open_clip takes these from the tag, and of a file it knows no tag: OpenAI's weights with GELU in place of
        # QuickGELU give other embeddings without a warning
        tag = open_clip.get_pretrained_cfg(config.name, config.pretrained) if config.pretrained else {}
        self.model, _, self.preprocess = open_clip.create_model_and_transforms(
            config.name,
            pretrained=weights,
            device=self.device,
            force_quick_gelu=tag.get("quick_gelu", False),
            image_mean=tag.get("mean"),
            image_std=tag.get("std"),
            image_interpolation=tag.get("interpolation"),
            image_resize_mode=tag.get("resize_mode"),
        )
        self.model.eval()
        self.tokenizer = open_clip.get_tokenizer(config.name)

    def embed_images(self, load: Callable[[Any], Image.Image], sources: Sequence[Any], batch_size: int) -> np.ndarray:
        """Return unit-length embeddings (n, d) in float32; `load` turns a source into an RGB image."""
        import numpy as np
        import torch

        parts = []
        batches = [sources[i : i + batch_size] for i in range(0, len(sources), batch_size)]
        with torch.inference_mode():
            for batch in progress(batches, "Embedding batches"):
                pixels = torch.stack([self.preprocess(load(source)) for source in batch]).to(self.device)
                parts.append(self.model.encode_image(pixels, normalize=True).float().cpu().numpy())
        return np.concatenate(parts)

    def embed_text(self, text: str) -> np.ndarray:
        """Return the unit-length embedding (d,) of a text."""
        import torch

        with torch.inference_mode():
            tokens = self.tokenizer([text]).to(self.device)
            return self.model.encode_text(tokens, normalize=True)[0].float().cpu().numpy()
