"""CLIP through open_clip: normalised embeddings of images and texts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import TYPE_CHECKING, Any

from fairdream.config.models import ClipModel
from fairdream.models.device import allow_tf32, best_device, send
from fairdream.models.weights import model_path
from fairdream.runtime.job import progress
from fairdream.runtime.prefetch import prefetch

if TYPE_CHECKING:
    import numpy as np
    import torch
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
        import torch
        from torchvision import transforms

        self.device = best_device()
        allow_tf32(self.device)
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
        # open_clip's transform of an image ends in ToTensor and Normalize, which are done on the device a batch at a
        # time; what stands before them gives bytes, a quarter of the size
        *geometry, _, normalize = self.preprocess.transforms
        self.resize = transforms.Compose(geometry)
        self.mean, self.std = (
            torch.tensor(values, device=self.device).view(1, 3, 1, 1) for values in (normalize.mean, normalize.std)
        )

    def embed_images(
        self, load: Callable[[Any], Image.Image], sources: Iterable[Any], count: int, batch_size: int
    ) -> np.ndarray:
        """Return unit-length embeddings (n, d) in float32.

        Threads decode and resize the next images while the model works on a batch.

        Parameters
        ----------
        load
            Turns a source into an RGB image; called in threads.
        sources
            What `load` takes, an item an image; read as it is needed.
        count
            Number of sources.
        batch_size
            Images a forward pass.
        """
        import numpy as np
        import torch

        def ready(source: Any) -> np.ndarray:
            return np.asarray(self.resize(load(source)))  # (h, w, 3)

        images = prefetch(ready, sources, workers=torch.get_num_threads(), depth=3 * batch_size)
        parts: list[np.ndarray] = []
        waiting: torch.Tensor | None = None
        with torch.inference_mode():
            for _ in progress(range(0, count, batch_size), "Embedding batches"):
                pixels = self.to_input(np.stack(list(islice(images, batch_size))))
                embeddings = self.model.encode_image(pixels, normalize=True).float()
                # a batch late: a GPU has the next batch queued while the host takes this one
                if waiting is not None:
                    parts.append(waiting.cpu().numpy())
                waiting = embeddings
        if waiting is not None:
            parts.append(waiting.cpu().numpy())
        return np.concatenate(parts)

    def to_input(self, pixels: np.ndarray) -> torch.Tensor:
        """Return bytes (b, h, w, 3) as the model's input (b, 3, h, w), the same as open_clip's transform gives."""
        import torch

        values = send(torch.from_numpy(pixels), self.device).permute(0, 3, 1, 2).contiguous()
        return values.float().div_(255).sub_(self.mean).div_(self.std)

    def embed_text(self, text: str) -> np.ndarray:
        """Return the unit-length embedding (d,) of a text."""
        import torch

        with torch.inference_mode():
            tokens = self.tokenizer([text]).to(self.device)
            return self.model.encode_text(tokens, normalize=True)[0].float().cpu().numpy()
