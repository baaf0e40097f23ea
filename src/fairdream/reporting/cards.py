"""Cards of what a run makes beside classifiers: its adapters for diffusers, its synthetic images for `datasets`."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from fairdream import __version__
from fairdream.config.base import Section
from fairdream.diffusion.adapters import WEIGHTS
from fairdream.models.tensor_files import read_metadata
from fairdream.runtime.files import write_text


class CardJob(Section):
    """What both cards tell."""

    base: str
    revision: str | None
    dataset: str
    bias: str
    method: str
    origin: str


class AdaptersCardJob(CardJob):
    """What the card of a method's adapters tells."""

    adapter_scale: float


class ImagesCardJob(CardJob):
    """What the card of a method's images tells."""

    adapters: str
    groups: dict[str, dict[str, Any]]  # group -> what its images were drawn with


def adapters_card(adapters: list[str], card: str, config: AdaptersCardJob) -> None:
    """Write the card of a method's adapters: one folder per subject, as `load_lora_weights` takes it.

    Parameters
    ----------
    adapters
        Safetensors files; their headers tell prompt, token, rank and images.
    card
        Output, in the folder above theirs.
    """
    headers = {Path(path).parent.name: read_metadata(path) for path in adapters}
    tokens = {header["token"] for header in headers.values() if header.get("token")}
    front = {
        "base_model": config.base,
        "base_model_relation": "adapter",
        "library_name": "diffusers",
        "pipeline_tag": "text-to-image",
        "tags": ["text-to-image", "diffusers", "stable-diffusion", "lora", "template:sd-lora"],
        **({"instance_prompt": next(iter(headers.values()))["prompt"]} if tokens else {}),
        "inference": False,
    }
    example, header = next(iter(headers.items()))
    rows = [
        f"| `{name}` | {own['prompt']} | {len(json.loads(own['image_ids'])):,} | {own['rank']} |"
        for name, own in headers.items()
    ]
    revision = f', revision="{config.revision}"' if config.revision else ""
    learnt = f"The token `{tokens.pop()}` stands for what an adapter learnt. " if tokens else ""
    scale = "" if config.adapter_scale == 1 else f', cross_attention_kwargs={{"scale": {config.adapter_scale:g}}}'
    text = f"""# {config.dataset}, bias {config.bias}: adapters of {config.method}

{len(headers)} LoRA adapters for {_link(config.base)}, one folder each, made with
FairDream {__version__}. {learnt}Each was trained on the images of one group (class-attribute), or of a part of one.

```python
from diffusers import StableDiffusionPipeline

pipe = StableDiffusionPipeline.from_pretrained("{config.base}"{revision})
pipe.load_lora_weights("THIS_FOLDER", subfolder="{example}", weight_name="{WEIGHTS}")
image = pipe("{header["prompt"]}"{scale}).images[0]
```

| folder | prompt | training images | rank |
| --- | --- | ---: | ---: |
{chr(10).join(rows)}

- Data: {config.dataset}, {config.origin.strip()}
- The scale alpha / rank is in the weights: a reader that looks for no alpha draws at the strength of the training
- The images that each adapter saw are named in the header of its file (`image_ids`), `history.csv` has its losses

## Limits

- An adapter of few images repeats them: images drawn with it may show what was in its training images.
- The licences of the base model and of the data set apply to what is drawn.
"""
    write_text(card, _with_front(front, text))


def images_card(shards: list[str], card: str, config: ImagesCardJob) -> None:
    """Write the card of a method's synthetic images, with which `datasets.load_dataset` reads the method's folder.

    The shards are named one by one: their folder may still hold those of an earlier configuration.

    Parameters
    ----------
    shards
        Parquet files.
    card
        Output, in the folder above theirs: beside the shards, `pandas.read_parquet` would take it for one of them.
    """
    import pyarrow.parquet as pq

    counts: Counter[str] = Counter()
    for path in shards:
        counts.update(pq.read_table(path, columns=["group"])["group"].to_pylist())
    total = counts.total()
    files = [os.path.relpath(path, Path(card).parent) for path in shards]
    front = {
        "pretty_name": f"{config.dataset}, bias {config.bias}: images of {config.method}",
        "tags": ["synthetic", "stable-diffusion", "group-robustness"],
        "task_categories": ["image-classification"],
        "size_categories": [_size(total)],
        "configs": [{"config_name": "default", "data_files": [{"split": "train", "path": files}]}],
    }
    rows = [_drawn_with(group, own, counts[group]) for group, own in config.groups.items()]
    first = next(iter(config.groups.values()))
    spacing = f", {first['timestep_spacing']} spacing" if "timestep_spacing" in first else ""
    revision = f" at {config.revision}" if config.revision else ""
    text = f"""# {config.dataset}, bias {config.bias}: images of {config.method}

{total:,} synthetic images, drawn by {_link(config.base)}{revision} with {config.adapters}; made with
FairDream {__version__}. All that were drawn: the selection that the classifiers learnt from is not applied.

```python
from datasets import load_dataset

images = load_dataset("THIS_FOLDER", split="train")
images[0]["image"], images[0]["group"]
```

`pandas.read_parquet("THIS_FOLDER/images")` reads them too, with the shards of earlier configurations, if there are any.

| group (class-attribute) | images | prompt | negative prompt | guidance |
| --- | ---: | --- | --- | ---: |
{chr(10).join(rows)}

- {first["num_inference_steps"]} steps of {first["scheduler"]}{spacing}, seed {first["seed"]}; each row has the prompt,
  the seed and all else that its image was drawn with
- Data behind the adapters: {config.dataset}, {config.origin.strip()}

## Limits

- A group is what was asked for, not what is seen: some images show another class or attribute, or neither.
- They carry the biases of the base model, and may repeat images that an adapter learnt from.
- They show no real thing: measure nothing on them that is meant to hold for photographs.
- The licences of the base model and of the data set apply.
"""
    write_text(card, _with_front(front, text))


def _drawn_with(group: str, own: dict[str, Any], count: int) -> str:
    """Return a group's row of the table: how many images, and what they were drawn with."""
    prompts = "; ".join(own["prompts"][:3]) + (f" and {len(own['prompts']) - 3} more" if own["prompts"][3:] else "")
    negative = own["negative_prompt"] or "–"
    return f"| {group} | {count:,} | {prompts} | {negative} | {own['guidance_scale']:g} |"


def _link(base: str) -> str:
    return f"`{base}`" if Path(base).is_dir() else f"[{base}](https://huggingface.co/{base})"


def _size(count: int) -> str:
    """Return the hub's word for a number of rows."""
    bounds = [(1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M")]
    return next((word for bound, word in bounds if count < bound), "1M<n<10M")


def _with_front(front: dict[str, Any], text: str) -> str:
    return f"---\n{yaml.safe_dump(front, sort_keys=False, allow_unicode=True)}---\n\n{text}"
