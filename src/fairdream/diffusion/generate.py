"""Generation: one shard of synthetic images, drawn by the stock Stable Diffusion pipeline.

An image is (seed, group, subject, index): its seed never depends on the shard, the batch or the order, and each row
holds all that the stock pipeline needs to draw it again. Batches stand at fixed indices, and every finished batch is
kept until the shard is complete, so a killed job goes on with the same bytes.

The stock loop itself costs next to nothing (docs/performance.md), so it stays. What is spared is around it and in
the UNet: the adapter is merged into the weights, on a CPU these lie in channels-last order, a prompt is encoded once a
job, and images are compressed and written while the next batch is drawn.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairdream.data.defects import defect
from fairdream.data.images import encode_png, merge_shards, write_shard
from fairdream.diffusion.pipeline import Drawer, GenerateJob, load_drawer, sample
from fairdream.errors import UserError
from fairdream.identity import digest, file_digest, seed_of
from fairdream.models.tensor_files import content_digest
from fairdream.models.weights import model_identity, model_path
from fairdream.runtime.files import atomic, exclusive, is_whole, write_text
from fairdream.runtime.job import LOGGER, progress

if TYPE_CHECKING:
    import numpy as np


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
        Output: a Parquet shard, one row per image.
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
    made_of = [config.model_dump(), code, group, subject, model_identity(model), adapter and content_digest(adapter)]
    made_of += [start, stop]
    finished = Path(store, "shards", f"{digest(made_of)[:32]}.json")
    # as with adapters: what a killed run left alive on another node may draw the same shard
    with exclusive(finished.with_suffix(".lock")):
        if _copy_finished(finished, images):
            return
        folder = Path(store, "batches", digest([*made_of, batch_size])[:32])
        parts = {first: folder / f"{first:06d}.parquet" for first in range(start, stop, batch_size)}
        _draw_parts(parts, stop, lambda: load_drawer(model_path(model), adapter, config), group, subject, config)
        redrawn = sum(sum(pq.read_table(part, columns=["redraws"])["redraws"].to_pylist()) for part in parts.values())
        LOGGER.info("%d images, %d redrawn because they were NaN, black or flat", stop - start, redrawn)
        merge_shards(list(parts.values()), images, {"redrawn": str(redrawn)})
        write_text(finished, json.dumps({"path": images, "sha256": file_digest(images)}) + "\n")
        shutil.rmtree(folder, ignore_errors=True)


def _draw_parts(
    parts: dict[int, Path], stop: int, load: Callable[[], Drawer], group: str, subject: str, config: GenerateJob
) -> None:
    """Draw the batches that are not there yet; `parts` has each one's file by its first image."""
    drawer = None
    writing: list[Future[None]] = []
    ends = [*list(parts)[1:], stop]
    # compression lets go of the interpreter: it goes on while the next batch is drawn, also when that one fails
    with ThreadPoolExecutor(min(8, len(os.sched_getaffinity(0)))) as pool:
        batches = [(range(first, end), part) for (first, part), end in zip(parts.items(), ends, strict=True)]
        for indices, part in progress(batches, f"Drawing {group} with {subject}"):
            if is_whole(part):
                continue
            drawer = drawer or load()
            drawn = draw(drawer, group, subject, indices, config)
            encoded = [pool.submit(_encoded, row, values) for row, values in drawn]
            writing.append(pool.submit(_write_part, part, encoded))
            if len(writing) > 2:
                writing.pop(0).result()  # what failed there ends the job; what fell behind is waited for
        for future in writing:
            future.result()


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


def draw(
    drawer: Drawer, group: str, subject: str, indices: range, config: GenerateJob
) -> list[tuple[dict[str, Any], np.ndarray]]:
    """Draw images in one batch; return each one's row, without the image, and its pixels (h, w, 3) in [0, 1].

    NaN, black and flat images are generated again with the next seed, up to `config.max_redraws` times.
    """
    seeds = {index: seed_of("image", config.seed, group, subject, index) for index in indices}
    drawn: dict[int, tuple[dict[str, Any], np.ndarray]] = {}
    dropped: dict[int, list[str]] = {index: [] for index in indices}
    start, stop = config.guidance_interval or (0.0, 1.0)
    for _ in range(config.max_redraws + 1):
        wanted = [index for index in indices if index not in drawn]
        if not wanted:
            break
        prompts = [config.prompts[index % len(config.prompts)] for index in wanted]
        pixels = sample(drawer, prompts, [seeds[index] for index in wanted], config)
        for index, prompt, values in zip(wanted, prompts, pixels, strict=True):
            problem = defect(values)
            if problem:
                LOGGER.warning("%s %s image %d, seed %d: %s", group, subject, index, seeds[index], problem)
                seeds[index] += 1
                dropped[index].append(problem)
                continue
            row = {
                "id": f"{group}/{subject}/{index:06d}",
                "image": None,
                "group": group,
                "subject": subject,
                "index": index,
                "prompt": prompt,
                "negative_prompt": config.negative_prompt,
                "seed": seeds[index],
                "num_inference_steps": config.num_inference_steps,
                "guidance_scale": config.guidance_scale,
                "guidance_start": start,
                "guidance_stop": stop,
                "scheduler": config.scheduler,
                "timestep_spacing": config.timestep_spacing or "",
                "adapter_scale": config.adapter_scale,
                "redraws": len(dropped[index]),
                "defects": " ".join(dropped[index]),
            }
            drawn[index] = row, values
    lost = [index for index in indices if index not in drawn]
    if lost:
        raise UserError(
            f"{group}, {subject}: image {lost[0]} is NaN, black or flat for {config.max_redraws + 1} seeds. "
            "Look at the adapter's history.csv: a loss that grew means that finetune.learning_rate is too high."
        )
    return [drawn[index] for index in indices]


def channel_distance(values: np.ndarray) -> float:
    """Return how far a channel's mean is from the mean of all, at most, in levels of 255; 0 for a grey image.

    FFR leaves out images for which this is small, measured on the red channel alone (its generation code); an image
    whose red is typical by chance is not grey, so we take the channel that is farthest.
    """
    import numpy as np

    means = values.reshape(-1, 3).mean(axis=0) * 255
    return float(np.abs(means - means.mean()).max())


def _encoded(row: dict[str, Any], values: np.ndarray) -> dict[str, Any]:
    from PIL import Image

    image = Image.fromarray((values * 255).round().clip(0, 255).astype("uint8"))
    return {**row, "image": encode_png(image), "channel_distance": channel_distance(values)}


def _write_part(path: Path, rows: list[Future[dict[str, Any]]]) -> None:
    # the pool is first in, first out: whoever waits here, these have begun
    write_shard(path, [row.result() for row in rows], {})
