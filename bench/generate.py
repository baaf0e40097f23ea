"""Images a second of generation against the stock pipeline and against bare UNet forwards: `python bench/generate.py`.

Twelve adapters of four groups (random weights in diffusers' format) on the embedded model. Contenders take turns in one
process with one thread; each figure is the median of the rounds.

- stock, one image a call: `load_lora_weights`, `pipeline(prompt)` and `unload_lora_weights` for each adapter, as
  diffusers' guides to LoRA inference have it; PNG files.
- stock, batches: the same with lists of prompts and generators, as the guide to batch inference has it.
- ours: the job itself, once an adapter: files hashed, pipeline loaded, adapter merged, prompts encoded, images drawn,
  checked, compressed and written as Parquet. "drawing" leaves out loading.
- the limit: as many forwards of the bare UNet on random latents, guidance in one batch, at the best batch size.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import torch
from rows import Row, add

ROOT = Path(__file__).resolve().parents[1]
MODEL = ROOT / "resources/tiny-sd"
GROUPS = [f"{label}-{attribute}" for label in ("even", "odd") for attribute in ("land", "water")]
ADAPTERS = [f"{group}-c{number}" for group in GROUPS for number in range(3)]
LAYERS = ["conv1", "conv2", "to_k", "to_q", "to_v", "to_out.0"]
NEGATIVE = ""


def prompt_of(subject: str) -> str:
    """Return the prompt of a subject's group."""
    label, attribute, _ = subject.split("-")
    return f"photo of a sks {label} digit on {attribute}"


def make_adapters(folder: Path, rank: int) -> dict[str, Path]:
    """Write an adapter a subject, of a size that changes images visibly."""
    from diffusers import StableDiffusionPipeline, UNet2DConditionModel
    from diffusers.utils import convert_state_dict_to_diffusers
    from peft import LoraConfig
    from peft.utils import get_peft_model_state_dict

    paths = {}
    for number, subject in enumerate(ADAPTERS):
        torch.manual_seed(number)
        unet = UNet2DConditionModel.from_pretrained(MODEL, subfolder="unet")
        own = LoraConfig(r=rank, lora_alpha=rank, init_lora_weights="gaussian", target_modules=LAYERS)
        unet.add_adapter(own)
        for name, value in unet.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(value, std=0.02)
        layers = convert_state_dict_to_diffusers(get_peft_model_state_dict(unet))
        StableDiffusionPipeline.save_lora_weights(folder / subject, unet_lora_layers=layers)
        paths[subject] = folder / subject / "pytorch_lora_weights.safetensors"
    return paths


def stock_pipeline(scheduler: str):
    """Load the stock pipeline with a scheduler."""
    import diffusers

    pipeline = diffusers.StableDiffusionPipeline.from_pretrained(MODEL, safety_checker=None)
    pipeline.scheduler = getattr(diffusers, scheduler).from_config(pipeline.scheduler.config)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def stock(pipeline, adapters: dict[str, Path], count: int, batch: int, arguments, folder: Path) -> int:
    """Draw `count` images with each adapter; return how many there are."""
    for subject, path in adapters.items():
        pipeline.load_lora_weights(path)
        for first in range(0, count, batch):
            seeds = range(first, min(first + batch, count))
            images = pipeline(
                [prompt_of(subject)] * len(seeds),
                negative_prompt=[NEGATIVE] * len(seeds),
                generator=[torch.Generator().manual_seed(seed) for seed in seeds],
                num_inference_steps=arguments.steps,
                guidance_scale=arguments.guidance,
            ).images
            for seed, image in zip(seeds, images, strict=True):
                image.save(folder / f"{subject}-{seed}.png")
        pipeline.unload_lora_weights()
    return count * len(adapters)


def ours(manifest: Path, adapters: dict[str, Path], folder: Path, arguments) -> tuple[int, float]:
    """Run a generation job an adapter; return the number of images and the CPU seconds of loading."""
    from fairdream.diffusion import generate as stage
    from fairdream.diffusion.generate import GenerateJob, generate
    from fairdream.models.fetch_model import fetch_model

    if not manifest.is_file():
        fetch_model(str(manifest), "diffusion", {"id": str(MODEL), "revision": None})
    loading, load = 0.0, stage.load_drawer

    def timed(*own):
        nonlocal loading
        started = time.process_time()
        drawer = load(*own)
        loading += time.process_time() - started
        return drawer

    stage.load_drawer = timed
    try:
        for subject, path in adapters.items():
            config = GenerateJob(
                prompts=[prompt_of(subject)],
                negative_prompt=NEGATIVE,
                scheduler=arguments.scheduler,
                num_inference_steps=arguments.steps,
                guidance_scale=arguments.guidance,
                adapter_scale=1.0,
                max_redraws=5,
                seed=0,
            )
            group, _, _ = subject.rpartition("-")
            shard, images = f"000000-{arguments.images:06d}", str(folder / f"{subject}.parquet")
            own = (group, subject, shard, arguments.batch, config)
            generate(str(manifest), str(path), images, str(folder / "store"), "code", *own)
    finally:
        stage.load_drawer = load
    return arguments.images * len(adapters), loading


def forwards(unet, batch: int, count: int, steps: int) -> int:
    """Run the UNet alone, as often as `count` images of guided sampling need; return the images."""
    config = unet.config
    latents = torch.randn(2 * batch, config.in_channels, config.sample_size, config.sample_size)
    latents = latents.to(memory_format=torch.channels_last)
    text = torch.randn(2 * batch, 32, config.cross_attention_dim)
    timestep = torch.tensor(500)
    times = -(-count // batch)
    with torch.inference_mode():
        for _ in range(times * steps):
            unet(latents, timestep, encoder_hidden_states=text, return_dict=False)
    return times * batch


def timed(function: Callable, *arguments) -> tuple[float, float, object]:
    """Return CPU seconds, wall seconds and the function's result."""
    cpu, wall = time.process_time(), time.monotonic()
    result = function(*arguments)
    return time.process_time() - cpu, time.monotonic() - wall, result


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=32, help="images an adapter")
    parser.add_argument("--batch", type=int, default=16, help="images a batch, ours and the stock pipeline's")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--guidance", type=float, default=2.0)
    parser.add_argument("--scheduler", default="DPMSolverMultistepScheduler")
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    from fairdream.models.weights import load_quietly

    load_quietly()
    rates: dict[str, list[float]] = defaultdict(list)
    walls: dict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as base:
        folder = Path(base)
        adapters = make_adapters(folder / "adapters", arguments.rank)
        cpu, wall, pipeline = timed(stock_pipeline, arguments.scheduler)
        print(f"stock pipeline's start: {cpu:.2f} s of CPU, {wall:.2f} s; torch {torch.__version__}", flush=True)
        bare = stock_pipeline(arguments.scheduler).unet.to(memory_format=torch.channels_last)
        sizes = {}
        for size in (8, 16, 32, 64):
            forwards(bare, size, size, 1)
            costs = [timed(forwards, bare, size, 64, 1)[0] for _ in range(5)]
            sizes[size] = statistics.median(costs)
        best = min(sizes, key=sizes.__getitem__)
        print("bare UNet, ms an image and step:", {k: round(v / 64 * 1000, 2) for k, v in sizes.items()}, flush=True)
        few = max(1, arguments.images // 8)
        for number in range(arguments.rounds + 1):  # the first warms up
            here = folder / str(number)
            here.mkdir()
            single = timed(stock, pipeline, adapters, few, 1, arguments, here)
            batches = timed(stock, pipeline, adapters, arguments.images, arguments.batch, arguments, here)
            cpu, wall, (count, loading) = timed(ours, folder / "model.json", adapters, here, arguments)
            limit = timed(forwards, bare, best, arguments.images * len(adapters), arguments.steps)
            if not number:
                continue
            results = {
                "stock, one image a call": single,
                f"stock, batches of {arguments.batch}": batches,
                "ours, whole jobs": (cpu, wall, count),
                "ours, drawing": (cpu - loading, wall - loading * wall / cpu, count),
                f"limit: UNet alone, batches of {best}": limit,
            }
            for name, (cpu, wall, images) in results.items():
                rates[name].append(images / cpu)
                walls[name].append(images / wall)
            print(f"round {number}: " + ", ".join(f"{own[-1]:.1f}" for own in rates.values()), flush=True)
    middle = {name: statistics.median(own) for name, own in rates.items()}
    print("\n| | images a CPU second (least, most) | images a second | share of the limit |\n|---|---:|---:|---:|")
    for name, own in rates.items():
        wall = statistics.median(walls[name])
        share = middle[name] / middle[f"limit: UNet alone, batches of {best}"]
        print(f"| {name} | {middle[name]:.2f} ({min(own):.2f}, {max(own):.2f}) | {wall:.2f} | {share:.0%} |")
    for name in list(rates)[:2]:
        print(f"\nours, drawing / {name}: {middle['ours, drawing'] / middle[name]:.2f}", end="")
        print(f"; whole jobs: {middle['ours, whole jobs'] / middle[name]:.2f}", end="")
    print()
    speeds = {name: statistics.median(own) for name, own in walls.items()}
    peer, limit = f"stock, batches of {arguments.batch}", f"limit: UNet alone, batches of {best}"
    for side in ("drawing", "whole jobs"):
        own = (speeds[f"ours, {side}"], speeds[peer], f"stock pipeline, batches of {arguments.batch}", speeds[limit])
        add(Row(f"generation, {side}", "images a second", *own, "bare UNet forwards", goal="1.5 times, 90 % of limit"))


if __name__ == "__main__":
    main()
