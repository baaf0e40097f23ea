"""Tiny-clip: a CLIP of a few megabytes for open_clip's own factory, trained on rendered digits and their captions.

``python -m fairdream.demo.tiny_clip`` rebuilds it from a seed. Notable choices:

- open_clip's ResNet on images enlarged to 64x64, since its stem divides the resolution by four.
- The contrastive loss alone does not find the digits in so few steps: it stays where it tells backgrounds apart. A
  linear head on the image's embedding that names digit and background helps it over; the head is then thrown away.
- Captions repeat within a batch. Equal captions share the target of the contrastive loss, as in UniCL (Yang et al.).
- The tokenizer is that of tiny-sd, but pads with a token of its own: open_clip takes the text's embedding at the
  highest token, which has to be the one end.
"""

import argparse
import json
import random
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairdream.demo.captions import CONTEXT, caption, load_tokenizer, write_tokenizer
from fairdream.demo.rendered import draw_many
from fairdream.models import tensor_files

if TYPE_CHECKING:
    import torch

IMAGES = 40_000  # as many as tiny-clip in resources/ was trained on
BATCH = 128
RESOLUTION = 64
MEAN, STD = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)


def configuration(vocabulary: int) -> dict[str, Any]:
    """Give the content of ``open_clip_config.json``."""
    return {
        "model_cfg": {
            "embed_dim": 64,
            "vision_cfg": {"image_size": RESOLUTION, "layers": [1, 1, 1, 1], "width": 16},
            "text_cfg": {
                "context_length": CONTEXT,
                "vocab_size": vocabulary,
                "hf_tokenizer_name": "local",
                "width": 64,
                "heads": 4,
                "layers": 2,
            },
        },
        "preprocess_cfg": {"mean": MEAN, "std": STD, "interpolation": "bicubic", "resize_mode": "shortest"},
    }


def enlarge(images: "torch.Tensor") -> "torch.Tensor":
    """Bring uint8 images to the resolution and range in which the model sees them."""
    import torch.nn.functional as F

    large = F.interpolate(images.float(), (RESOLUTION, RESOLUTION), mode="bicubic", align_corners=False, antialias=True)
    return large.clamp(0, 255) / 127.5 - 1


def train(folder: Path, seed: int = 0, steps: int = 2000, images: int = IMAGES) -> None:
    """
    Train tiny-clip and save it as ``local-dir:`` of open_clip expects it.

    Parameters
    ----------
    folder : Path
        Where to save.
    seed : int
        Seeds images, captions, weights and batches.
    steps : int
        Batches of 128 pairs.
    images : int
        How many images to render.
    """
    import open_clip
    import torch
    import torch.nn.functional as F

    folder.mkdir(parents=True, exist_ok=True)
    write_tokenizer(folder)
    tokenizer = load_tokenizer(folder)
    tokenizer.pad_token = "!"
    tokenizer.save_pretrained(folder)
    settings = configuration(len(tokenizer))
    (folder / "open_clip_config.json").write_text(json.dumps(settings, indent=2) + "\n")
    # Other seeds than the base model's: the filter is not to have seen its images.
    rendered = draw_many(images, seed + 1)
    torch.manual_seed(seed)
    model = open_clip.CLIP(**settings["model_cfg"])
    model.train()
    # names the digit (10) and the background (2), in training only: the contrast alone stays where it tells backgrounds
    head = torch.nn.Linear(settings["model_cfg"]["embed_dim"], 12)
    weights = [*model.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(weights, lr=2e-3, betas=(0.9, 0.98), weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps, pct_start=0.1)
    rng, began = random.Random(seed), time.time()
    for step in range(steps):
        picks = torch.randint(images, (BATCH,))
        captions = [caption(int(rendered.digits[i]), bool(rendered.water[i]), rng) for i in picks]
        tokens = tokenizer(captions, padding="max_length", truncation=True, return_tensors="pt").input_ids
        with torch.autocast("cpu", torch.bfloat16):
            picture = model.encode_image(enlarge(rendered.images[picks]))
            text = model.encode_text(tokens)
        guess = head(picture.float())
        named = F.cross_entropy(guess[:, :10], rendered.digits[picks])
        named = named + F.cross_entropy(guess[:, 10:], rendered.water[picks].long())
        loss = contrast(picture.float(), text.float(), model.logit_scale, captions) + named
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        schedule.step()
        if step % 100 == 99:
            seconds = time.time() - began
            print(f"clip {step + 1} loss {loss.item():.3f}, naming {named.item():.3f} {seconds:.0f} s", flush=True)
    stored = {name: t.half() if t.is_floating_point() else t for name, t in model.state_dict().items()}
    tensor_files.save({name: t.contiguous() for name, t in stored.items()}, folder / "open_clip_model.safetensors")


def contrast(
    picture: "torch.Tensor", text: "torch.Tensor", logit_scale: "torch.Tensor", captions: list[str]
) -> "torch.Tensor":
    """
    Return CLIP's loss over embeddings of shape (batch, width), where equal captions fit each other's images too.

    Parameters
    ----------
    picture, text : torch.Tensor
        Not of unit length yet.
    logit_scale : torch.Tensor
        Logarithm of the inverse temperature.
    captions : list of str
        One a row.
    """
    import torch
    import torch.nn.functional as F

    picture, text = F.normalize(picture, dim=-1), F.normalize(text, dim=-1)
    logits = logit_scale.exp().clamp(max=100) * picture @ text.T
    same = torch.tensor([[one == other for other in captions] for one in captions]).float()
    target = same / same.sum(1, keepdim=True)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def main() -> None:
    """Rebuild the CLIP model."""
    import torch

    parser = argparse.ArgumentParser(description="Train the demo's CLIP on rendered digits and their captions.")
    parser.add_argument("--folder", type=Path, default=Path("resources/tiny-clip"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--images", type=int, default=IMAGES)
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    train(arguments.folder, arguments.seed, arguments.steps, arguments.images)


if __name__ == "__main__":
    main()
