"""Generation: one shard of synthetic images, drawn by the stock Stable Diffusion pipeline.

An image is (seed, group, subject, index): its seed never depends on the shard, the batch or the order, and each row
holds all that the stock pipeline needs to draw it again. Batches stand at fixed indices, and every finished batch is
kept until the shard is complete, so a killed job goes on with the same bytes.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairdream.basemodel import NO_CHECKER, load_quietly, model_identity, model_path
from fairdream.config import Section
from fairdream.device import best_device, inference_dtype
from fairdream.errors import UserError
from fairdream.files import atomic, exclusive, write_text
from fairdream.identity import digest, file_digest, seed_of
from fairdream.images import encode_png, merge_shards, write_shard
from fairdream.job import LOGGER, progress

if TYPE_CHECKING:
    import numpy as np

FLAT_STD = 2.0  # of 255: an image with less contrast than this shows nothing


class GenerateJob(Section):
    """What the images of one subject need beside the adapter."""

    prompts: list[str]
    negative_prompt: str
    scheduler: str
    num_inference_steps: int
    guidance_scale: float
    adapter_scale: float
    max_redraws: int
    seed: int


def generate(
    model: str,
    adapter: str | None,
    images: str,
    store: str,
    code: str,
    group: str,
    subject: str,
    shard: str,
    batch_size: int,
    config: GenerateJob,
) -> None:
    """Draw one shard of a subject's images for a group.

    Parameters
    ----------
    model
        Manifest of the base model.
    adapter
        The subject's adapter; ``None``: the base model as it is.
    images
        Output: a Parquet shard, one row an image.
    shard
        ``start-stop``: the range of the subject's images.
    store
        Folder in which finished batches wait for the shard to be complete.
    batch_size
        Images a forward pass; changes no image beyond rounding.

    Raises
    ------
    UserError
        When an image stays NaN, black or flat for `config.max_redraws` seeds.
    """
    import pyarrow.parquet as pq

    start, stop = map(int, shard.split("-"))
    made_of = [config.model_dump(), code, group, subject, model_identity(model), adapter and file_digest(adapter)]
    made_of += [start, stop]
    finished = Path(store, "shards", f"{digest(made_of)[:32]}.json")
    # as with adapters: what a killed run left alive on another node may draw the same shard
    with exclusive(finished.with_suffix(".lock")):
        if _copy_finished(finished, images):
            return
        folder = Path(store, "batches", digest([*made_of, batch_size])[:32])
        pipeline = None
        parts: list[Path] = []
        for first in progress(range(start, stop, batch_size), f"Drawing {group} with {subject}"):
            part = folder / f"{first:06d}.parquet"
            if not part.is_file():
                pipeline = pipeline or load_pipeline(model_path(model), adapter, config)
                indices = range(first, min(first + batch_size, stop))
                write_shard(part, draw(pipeline, group, subject, indices, config), {})
            parts.append(part)
        redrawn = sum(sum(pq.read_table(part, columns=["redraws"])["redraws"].to_pylist()) for part in parts)
        LOGGER.info("%d images, %d redrawn because they were NaN, black or flat", stop - start, redrawn)
        merge_shards(parts, images, {"redrawn": str(redrawn)})
        write_text(finished, json.dumps({"path": images, "sha256": file_digest(images)}) + "\n")
        shutil.rmtree(folder, ignore_errors=True)


def _copy_finished(finished: Path, images: str) -> bool:
    """Copy the same shard from where it stands already, if it does: an aligned group is the same at every bias.

    The store keeps a note of the place and not the images themselves, which would be there twice.
    """
    if not finished.is_file():
        return False
    note = json.loads(finished.read_text(encoding="utf-8"))
    if not Path(note["path"]).is_file() or file_digest(note["path"]) != note["sha256"]:
        return False
    LOGGER.info("the same images stand in %s", note["path"])
    with atomic(images) as path:
        shutil.copyfile(note["path"], path)
    return True


def load_pipeline(path: str, adapter: str | None, config: GenerateJob) -> Any:
    """Load the stock pipeline with the configured scheduler and the adapter merged into its weights."""
    import diffusers

    load_quietly()
    device = best_device()
    pipeline = diffusers.DiffusionPipeline.from_pretrained(path, dtype=inference_dtype(device), **NO_CHECKER).to(device)
    if not isinstance(pipeline, diffusers.StableDiffusionPipeline | diffusers.StableDiffusionXLPipeline):
        raise UserError(f"models.diffusion: {type(pipeline).__name__} is not of the SD 1, SD 2 or SDXL family")
    scheduler = getattr(diffusers, config.scheduler, None)
    if scheduler is None:
        raise UserError(f"generate.scheduler: diffusers has no {config.scheduler}")
    pipeline.scheduler = scheduler.from_config(pipeline.scheduler.config)
    if adapter is not None:
        pipeline.load_lora_weights(adapter)
        # merged weights cost nothing at sampling; the scale is fixed for the job
        pipeline.fuse_lora(lora_scale=config.adapter_scale)
        pipeline.unload_lora_weights()
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def draw(pipeline: Any, group: str, subject: str, indices: range, config: GenerateJob) -> list[dict[str, Any]]:
    """Draw images in one batch; return their rows.

    NaN, black and flat images are drawn again with the next seed, up to `config.max_redraws` times.
    """
    seeds = {index: seed_of("image", config.seed, group, subject, index) for index in indices}
    rows: dict[int, dict[str, Any]] = {}
    for redraws in range(config.max_redraws + 1):
        wanted = [index for index in indices if index not in rows]
        if not wanted:
            break
        prompts = [config.prompts[index % len(config.prompts)] for index in wanted]
        pixels = sample(pipeline, prompts, [seeds[index] for index in wanted], config)
        for index, prompt, values in zip(wanted, prompts, pixels, strict=True):
            problem = defect(values)
            if problem:
                LOGGER.warning("%s %s image %d, seed %d: %s", group, subject, index, seeds[index], problem)
                seeds[index] += 1
                continue
            rows[index] = {
                "id": f"{group}/{subject}/{index:06d}",
                "image": encode_png(_as_image(values)),
                "group": group,
                "subject": subject,
                "index": index,
                "prompt": prompt,
                "negative_prompt": config.negative_prompt,
                "seed": seeds[index],
                "num_inference_steps": config.num_inference_steps,
                "guidance_scale": config.guidance_scale,
                "scheduler": config.scheduler,
                "adapter_scale": config.adapter_scale,
                "redraws": redraws,
                "channel_distance": channel_distance(values),
            }
    lost = [index for index in indices if index not in rows]
    if lost:
        raise UserError(
            f"{group}, {subject}: image {lost[0]} is NaN, black or flat for {config.max_redraws + 1} seeds. "
            "Look at the adapter's history.csv: a loss that grew means that finetune.learning_rate is too high."
        )
    return [rows[index] for index in indices]


def sample(pipeline: Any, prompts: list[str], seeds: list[int], config: GenerateJob) -> np.ndarray:
    """Return images (n, h, w, 3) in [0, 1], one a prompt and seed, as the stock pipeline draws them."""
    import torch

    return pipeline(
        prompt=prompts,
        negative_prompt=[config.negative_prompt] * len(seeds),
        generator=[torch.Generator("cpu").manual_seed(seed) for seed in seeds],
        num_inference_steps=config.num_inference_steps,
        guidance_scale=config.guidance_scale,
        output_type="np",
    ).images


def defect(values: np.ndarray) -> str | None:
    """Return what is wrong with an image (h, w, 3) in [0, 1], if it is NaN, black or flat."""
    import numpy as np

    if not np.isfinite(values).all():
        return "NaN"
    if values.max() * 255 < FLAT_STD:
        return "black"
    return "flat" if values.std() * 255 < FLAT_STD else None


def channel_distance(values: np.ndarray) -> float:
    """Return how far a channel's mean is from the mean of all, at most, in levels of 255; 0 for a grey image.

    FFR leaves out images for which this is small, measured on the red channel alone (its generation code); an image
    whose red is typical by chance is not grey, so we take the channel that is farthest.
    """
    import numpy as np

    means = values.reshape(-1, 3).mean(axis=0) * 255
    return float(np.abs(means - means.mean()).max())


def _as_image(values: np.ndarray) -> Any:
    from PIL import Image

    return Image.fromarray((values * 255).round().clip(0, 255).astype("uint8"))
