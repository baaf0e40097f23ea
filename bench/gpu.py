"""Training, drawing and scoring at full size on one CUDA GPU, without network: `python bench/gpu.py`.

Stable Diffusion v1.4's architecture at 512x512 and CLIP ViT-L/14, both with random weights: speed does not depend on
what they know. Each figure is the median of at least five repeats, after two that warm up. What is compared:

- a training step of diffusers' `train_dreambooth_lora.py` (a peft adapter; images and prompt encoded at every step;
  autocast to bfloat16), written after that script, with ours, for each pool size; ours by the speed that a training
  writes into its history, every ten steps;
- the stock pipeline with `load_lora_weights`, as the guide to LoRA inference has it, with ours, at the same batch;
- floating-point operations of the UNet (`torch.utils.flop_counter`) with the rate of a large bfloat16 product.

`--compiled 8 16` adds ours with `FAIRDREAM_COMPILE=1`, as drawing can be, and pools of so many adapters compiled, as
trainings are not. What is compiled lies in Inductor's cache afterwards, so the first steps are timed twice: here, and
in a new process, which may find it there. Where the cache is not empty at the start, both may.

`--tiny` runs every path in a minute on a CPU, as tests/unit/test_gpu_bench.py does; its figures mean nothing.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
import torch.nn.functional as F

PROMPT = "photo of a sks bird"
LAYERS = ["to_k", "to_q", "to_v", "to_out.0"]


@dataclass(frozen=True)
class Size:
    """What is measured: the full architecture, or a tiny one that shows that the benchmark runs."""

    pixels: int = 512
    unet: dict[str, Any] | None = None
    vae: tuple[int, ...] = (128, 256, 512, 512)
    text: tuple[int, int, int, int] = (768, 3072, 12, 12)  # width, inner width, layers, heads
    clip: str = "ViT-L-14"
    batch: int = 4  # images a training step, as in the script's documentation
    draw: int = 16  # images a batch of drawing
    sampling: tuple[int, ...] = (25, 50)
    score: int = 256  # images
    matrix: int = 8192
    steps: int = 10  # training steps a repeat; as many as lie between two rows of a training's history
    repeats: int = 5


TINY = Size(
    pixels=64,
    unet={"block_out_channels": (32, 64), "norm_num_groups": 16, "layers_per_block": 1, "attention_head_dim": 4}
    | {"down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D")}
    | {"up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D")},
    vae=(32, 32, 32, 32),
    text=(32, 64, 2, 2),
    clip=f"local-dir:{Path(__file__).resolve().parents[1] / 'resources/tiny-clip'}",
    batch=2,
    draw=2,
    sampling=(2,),
    score=4,
    matrix=64,
    repeats=1,
)


def device() -> torch.device:
    """Return the GPU, or the CPU where there is none."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def seconds(function: Callable[[], Any], repeats: int) -> float:
    """Return the median wall time of a call."""

    def finished() -> float:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return time.monotonic()

    times = []
    for _ in range(repeats + 2):
        started = finished()
        function()
        times.append(finished() - started)
    return statistics.median(times[2:])


def in_a_new_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function where nothing is loaded yet."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def peak(function: Callable[[], Any]) -> tuple[Any, str]:
    """Call a function; return its result and the most GPU memory that was in use."""
    if not torch.cuda.is_available():
        return function(), "-"
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    result = function()
    return result, f"{torch.cuda.max_memory_allocated() / 2**30:.1f}"


def write_model(folder: Path, size: Size) -> None:
    """Write a pipeline of SD v1.4's classes with random weights, and CLIP's own vocabulary, which open_clip ships."""
    import diffusers
    import open_clip
    import transformers
    from open_clip.tokenizer import bytes_to_unicode

    torch.manual_seed(0)
    packed = Path(open_clip.__file__).with_name("bpe_simple_vocab_16e6.txt.gz").read_bytes()
    merges = gzip.decompress(packed).decode().split("\n")[1 : 49152 - 256 - 2 + 1]
    letters = list(bytes_to_unicode().values())
    words = letters + [f"{letter}</w>" for letter in letters] + ["".join(merge.split()) for merge in merges]
    words += ["<|startoftext|>", "<|endoftext|>"]
    (folder / "words").mkdir(parents=True)
    (folder / "words/vocab.json").write_text(json.dumps({word: number for number, word in enumerate(words)}))
    (folder / "words/merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    files = (str(folder / "words/vocab.json"), str(folder / "words/merges.txt"))
    width, inner, layers, heads = size.text
    text = transformers.CLIPTextConfig(
        hidden_size=width, intermediate_size=inner, num_hidden_layers=layers, num_attention_heads=heads
    )
    own = size.unet or {"attention_head_dim": 8}
    vae = diffusers.AutoencoderKL(
        block_out_channels=size.vae,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=2,
        latent_channels=4,
        sample_size=size.pixels,
    )
    diffusers.StableDiffusionPipeline(
        vae=vae,
        text_encoder=transformers.CLIPTextModel(text),
        tokenizer=transformers.CLIPTokenizer(*files, model_max_length=77),
        unet=diffusers.UNet2DConditionModel(sample_size=size.pixels // 8, cross_attention_dim=width, **own),
        scheduler=diffusers.DDIMScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, steps_offset=1
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder / "model")


def stock_trainer(path: Path, size: Size) -> Callable[[], None]:
    """Return a step of diffusers' `train_dreambooth_lora.py` in bfloat16, without prior preservation."""
    from accelerate import Accelerator
    from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
    from diffusers.optimization import get_scheduler
    from peft import LoraConfig
    from transformers import CLIPTextModel, CLIPTokenizer

    from fairdream.models.device import inference_dtype

    dtype = inference_dtype(device())
    precision = {torch.bfloat16: "bf16", torch.float16: "fp16"}.get(dtype, "no")
    accelerator = Accelerator(mixed_precision=precision, cpu=not torch.cuda.is_available())
    schedule = DDPMScheduler.from_pretrained(path, subfolder="scheduler")
    tokenizer = CLIPTokenizer.from_pretrained(path, subfolder="tokenizer")
    text = CLIPTextModel.from_pretrained(path, subfolder="text_encoder")
    vae = AutoencoderKL.from_pretrained(path, subfolder="vae")
    unet = UNet2DConditionModel.from_pretrained(path, subfolder="unet")
    for module in (text, vae, unet):
        module.requires_grad_(False)
        module.to(accelerator.device, dtype=dtype)
    unet.add_adapter(LoraConfig(r=4, lora_alpha=4, init_lora_weights="gaussian", target_modules=LAYERS))
    parameters = [value for value in unet.parameters() if value.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=1e-4, weight_decay=0.01)
    rates = get_scheduler("constant", optimizer=optimizer)
    unet, optimizer, rates = accelerator.prepare(unet, optimizer, rates)
    unet.train()
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(size.batch, 3, size.pixels, size.pixels, generator=generator) * 2 - 1
    ids = tokenizer([PROMPT] * size.batch, padding="max_length", max_length=77, return_tensors="pt").input_ids

    def step() -> None:
        with accelerator.accumulate(unet):
            pixels = images.to(accelerator.device, dtype=dtype)
            latents = vae.encode(pixels).latent_dist.sample() * vae.config.scaling_factor
            noise = torch.randn_like(latents)
            times = torch.randint(0, schedule.config.num_train_timesteps, (len(latents),), device=latents.device)
            noisy = schedule.add_noise(latents, noise, times.long())
            states = text(ids.to(accelerator.device), return_dict=False)[0]
            with accelerator.autocast():
                predicted = unet(noisy, times, states, return_dict=False)[0]
            loss = F.mse_loss(predicted.float(), noise.float(), reduction="mean")
            accelerator.backward(loss)
            if accelerator.sync_gradients:
                accelerator.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            rates.step()
            optimizer.zero_grad()
        loss.detach().item()  # the script's progress bar shows it

    return step


def train_pool(path: Path, pool: int, size: Size, folder: Path, rows: int, compiled: bool) -> list[float]:
    """Train `pool` adapters at once, `size.batch` images each a step; return so many rows' images a second."""
    from PIL import Image

    from fairdream.diffusion.latents import Lesson, encode, load_base
    from fairdream.diffusion.trainer import FinetuneJob, train
    from fairdream.models.compile import compile_if_wanted

    pictures = []
    for number in range(2):
        pixels = np.random.default_rng(number).integers(0, 255, (size.pixels, size.pixels, 3), np.uint8)
        pictures.append(str(folder / f"{number}.png"))
        Image.fromarray(pixels).save(pictures[-1])
    job = FinetuneJob(
        rank=4,
        alpha=4.0,
        target_modules=LAYERS,
        resolution=size.pixels,
        learning_rate=1e-4,
        weight_decay=0.01,
        warmup_steps=0,
        max_grad_norm=1.0,
        batch_size=size.batch,
        steps=size.steps * rows,
        prompt=PROMPT,
        token="sks",
        seed=0,
    )
    subjects = {f"subject{number}": (PROMPT, pictures, folder / f"{number}.safetensors") for number in range(pool)}
    lessons = list(encode(str(path), subjects, size.pixels).values())

    def fail(lesson: Lesson, error: Exception) -> None:
        raise error

    base = load_base(str(path))
    with compiling(compiled):
        compile_if_wanted(base.unet)  # no job does this
        train(base, lessons, job, lambda lesson, weights: None, fail)
    return [row["images_per_second"] for row in lessons[0].rows]


def first_steps(path: Path, pool: int, size: Size, folder: Path) -> float:
    """Return the seconds of the first steps of a compiled pool, its loading not among them."""
    return size.steps * size.batch * pool / train_pool(path, pool, size, folder, 1, compiled=True)[0]


def measure_training(path: Path, pools: list[int], compiled: list[int], size: Size, rate: float, folder: Path) -> None:
    """Print steps and images a second of each trainer."""
    from torch.utils.flop_counter import FlopCounterMode

    print("\n## Training\n\n| trainer | adapters | steps/s | images/s | against stock | peak GiB | MFU |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    # the UNet's share alone counts as useful: forward and backward, without the encoders
    flops = unet_flops(path, size, FlopCounterMode)

    def row(name: str, pool: int, images: float, memory: str) -> None:
        steps = images / size.batch / pool
        shown = f"{steps:.2f} | {images:.1f} | {images / stock:.2f} | {memory} | {flops * images / rate:.1%}"
        print(f"| {name} | {pool} | {shown} |", flush=True)

    step = stock_trainer(path, size)
    took, memory = peak(lambda: seconds(lambda: [step() for _ in range(size.steps)], size.repeats))
    stock = size.steps * size.batch / took
    row("stock script", 1, stock, memory)
    step = None
    for name, pool in [("ours", pool) for pool in pools] + [("ours, compiled", pool) for pool in compiled]:
        given = (path, pool, size, folder, size.repeats + 2, name != "ours")
        speeds, memory = peak(lambda given=given: train_pool(*given))
        row(name, pool, statistics.median(speeds[2:]), memory)
        if name != "ours":
            first = size.steps * size.batch * pool / speeds[0]
            again = in_a_new_process(first_steps, path, pool, size, folder)
            note = f"The first {size.steps} steps of it took {first:.0f} s, in a new process {again:.0f} s."
            print(f"({note})\n", flush=True)


@contextmanager
def compiling(wanted: bool) -> Iterator[None]:
    """Have what is loaded inside compiled at its first pass, or not."""
    from fairdream.models.compile import COMPILE

    with patch.dict(os.environ, {COMPILE: str(int(wanted))}), patch("fairdream.models.compile.RARE", 0):
        yield


def unet_flops(path: Path, size: Size, counter: Callable[..., Any]) -> float:
    """Return the operations of the UNet for one image's training step: forward, and backward to the activations."""
    from diffusers import UNet2DConditionModel

    unet = UNet2DConditionModel.from_pretrained(path, subfolder="unet", dtype=torch.bfloat16).to(device())
    unet.requires_grad_(False)
    latents = torch.randn(1, 4, size.pixels // 8, size.pixels // 8, device=device(), dtype=torch.bfloat16)
    text = torch.randn(1, 77, size.text[0], device=device(), dtype=torch.bfloat16)
    with counter(display=False) as count:
        unet(latents.requires_grad_(), 500, text).sample.float().square().mean().backward()
    return float(count.get_total_flops())


def first_batch(path: Path, adapter: str, job: Any, size: Size) -> float:
    """Return the seconds of a compiled sampler's first batch, of one step."""
    from fairdream.diffusion.pipeline import load_drawer, sample

    with compiling(True):
        drawer = load_drawer(str(path), adapter, job)
        began = time.monotonic()
        sample(drawer, [PROMPT] * size.draw, list(range(size.draw)), job)
        return time.monotonic() - began


def measure_drawing(path: Path, size: Size, rate: float, folder: Path, compiled: bool) -> None:
    """Print images a second of the stock pipeline and of ours."""
    import diffusers
    from diffusers.utils import convert_state_dict_to_diffusers
    from peft import LoraConfig
    from peft.utils import get_peft_model_state_dict
    from torch.utils.flop_counter import FlopCounterMode

    from fairdream.diffusion.generate import generate
    from fairdream.diffusion.pipeline import GenerateJob, load_drawer, sample
    from fairdream.models.device import inference_dtype
    from fairdream.models.fetch_model import fetch_model

    print("\n## Drawing\n\n| sampler | steps | images/s | against stock | peak GiB | MFU |")
    print("|---|---:|---:|---:|---:|---:|")
    dtype = inference_dtype(device())
    stock = diffusers.StableDiffusionPipeline.from_pretrained(path, safety_checker=None, dtype=dtype).to(device())
    stock.set_progress_bar_config(disable=True)
    tuned = diffusers.UNet2DConditionModel.from_pretrained(path, subfolder="unet")
    tuned.add_adapter(LoraConfig(r=4, lora_alpha=4, init_lora_weights="gaussian", target_modules=LAYERS))
    layers = convert_state_dict_to_diffusers(get_peft_model_state_dict(tuned))
    diffusers.StableDiffusionPipeline.save_lora_weights(folder, unet_lora_layers=layers)
    adapter = str(folder / "pytorch_lora_weights.safetensors")
    del tuned
    stock.load_lora_weights(adapter)
    latents = torch.randn(2, 4, size.pixels // 8, size.pixels // 8, device=device(), dtype=dtype)
    text = torch.randn(2, 77, size.text[0], device=device(), dtype=dtype)
    with torch.no_grad(), FlopCounterMode(display=False) as count:
        stock.unet(latents, 500, text)
    flops = float(count.get_total_flops())  # of an image and step, guided
    seeds = list(range(size.draw))
    job = GenerateJob(
        prompts=[PROMPT],
        negative_prompt="",
        scheduler="DDIMScheduler",
        timestep_spacing="trailing",  # a single step, which leading spacing would place where there is no noise
        num_inference_steps=1,
        guidance_scale=7.5,
        adapter_scale=1.0,
        max_redraws=5,
        seed=0,
    )

    def draw_stock(steps: int) -> None:
        stock(
            [PROMPT] * size.draw,
            negative_prompt=[""] * size.draw,
            generator=[torch.Generator("cpu").manual_seed(seed) for seed in seeds],
            num_inference_steps=steps,
            guidance_scale=7.5,
            output_type="np",
        )

    def drawing() -> Callable[[int], Any]:
        drawer = load_drawer(str(path), adapter, job)
        return lambda steps: sample(
            drawer, [PROMPT] * size.draw, seeds, job.model_copy(update={"num_inference_steps": steps})
        )

    manifest = folder / "model.json"
    fetch_model(str(manifest), "diffusion", {"id": str(path), "revision": None})
    rates: dict[int, float] = {}  # the stock pipeline's, by steps
    for name in ["stock pipeline", "ours"] + ["ours, compiled"] * compiled:
        with compiling(name == "ours, compiled"):
            if name == "stock pipeline":
                draw = draw_stock
            else:
                draw = drawing()
                began = time.monotonic()
                draw(1)
                first = time.monotonic() - began
            for steps in size.sampling:
                took, memory = peak(lambda draw=draw, steps=steps: seconds(lambda: draw(steps), size.repeats))
                images = size.draw / took
                against = images / rates.setdefault(steps, images)
                share = f"{flops * steps * images / rate:.1%}"
                print(f"| {name} | {steps} | {images:.2f} | {against:.2f} | {memory} | {share} |", flush=True)
                if name == "stock pipeline":
                    continue
                # a whole job beside it: loading, checks, compression and writing behind the sampling
                count, began = 4 * size.draw, time.monotonic()
                own = (str(folder / "shard.parquet"), str(folder / name / str(steps)), "code", "a-b", "a-b")
                given = (f"000000-{count:06d}", size.draw, job.model_copy(update={"num_inference_steps": steps}))
                generate(str(manifest), adapter, *own, *given)
                print(f"| {name}, a job of {count} | {steps} | {count / (time.monotonic() - began):.2f} | | | |")
            if name == "ours, compiled":
                again = in_a_new_process(first_batch, path, adapter, job, size)
                print(f"(The first batch of it took {first:.0f} s for one step, in a new process {again:.0f} s.)\n")
        stock = draw = None  # leaves memory


def measure_scoring(size: Size) -> None:
    """Print images a second of CLIP, from PNG files in memory to embeddings."""
    from PIL import Image

    from fairdream.config.models import ClipModel
    from fairdream.data.images import encode_png, open_rgb
    from fairdream.models.clip import Clip

    clip = Clip(ClipModel(name=size.clip, pretrained=None), "")
    pictures = []
    for number in range(size.score):
        pixels = np.random.default_rng(number).integers(0, 255, (size.pixels, size.pixels, 3), np.uint8)
        pictures.append(encode_png(Image.fromarray(pixels)))
    took, memory = peak(lambda: seconds(lambda: clip.embed_images(open_rgb, pictures, len(pictures), 64), size.repeats))
    tensor = clip.preprocess(open_rgb(pictures[0])).expand(64, -1, -1, -1).contiguous().to(clip.device)
    with torch.inference_mode():
        alone = seconds(lambda: clip.model.encode_image(tensor), size.repeats)
    print("\n## Embedding and scoring\n\n| what | images/s | peak GiB |\n|---|---:|---:|")
    print(f"| `embed_images`, PNG to embedding | {size.score / took:.1f} | {memory} |")
    print(f"| its network alone, batches of 64 | {64 / alone:.1f} | |")


def matrix_rate(size: Size) -> float:
    """Return the measured operations a second of a square bfloat16 product."""
    a, b = (torch.randn(size.matrix, size.matrix, device=device(), dtype=torch.bfloat16) for _ in range(2))
    return 2 * size.matrix**3 / seconds(lambda: a @ b, max(5, size.repeats))


def main(arguments: list[str] | None = None) -> None:
    """Measure and print the tables."""
    import diffusers
    import peft
    import transformers

    from fairdream.models.weights import load_quietly

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tiny", action="store_true", help="a tiny model: shows that all of this runs, on a CPU too")
    parser.add_argument("--pools", type=int, nargs="*", default=[1, 4, 8, 16], help="adapters trained at once")
    parser.add_argument("--repeats", type=int, help="of each measurement; at least 5 for figures to be quoted")
    parser.add_argument(
        "--compiled", type=int, nargs="*", help="also with torch.compile, which takes minutes: such pools, and drawing"
    )
    parser.add_argument("--only", choices=["training", "drawing", "scoring"], help="one part")
    given = parser.parse_args(arguments)
    if not given.tiny and not torch.cuda.is_available():
        parser.error("there is no CUDA GPU; --tiny runs on a CPU")
    if min([*given.pools, *(given.compiled or []), 1 if given.repeats is None else given.repeats]) < 1:
        parser.error("--pools, --compiled and --repeats: 1 at least")
    size = TINY if given.tiny else Size()
    size = replace(size, repeats=given.repeats) if given.repeats else size
    load_quietly()
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    versions = {module.__name__: module.__version__ for module in (torch, diffusers, transformers, peft)}
    print(f"{name}; CUDA {torch.version.cuda}; {', '.join(f'{key} {value}' for key, value in versions.items())}")
    rate = matrix_rate(size)
    print(f"bfloat16 product of {size.matrix}: {rate / 1e12:.1f} TFLOP/s")
    with tempfile.TemporaryDirectory() as base:
        folder = Path(base)
        if given.only != "scoring":
            write_model(folder, size)
        if given.only in (None, "training"):
            measure_training(folder / "model", given.pools, given.compiled or [], size, rate, folder)
        if given.only in (None, "drawing"):
            measure_drawing(folder / "model", size, rate, folder, given.compiled is not None)
        if given.only in (None, "scoring"):
            measure_scoring(size)


if __name__ == "__main__":
    main()
