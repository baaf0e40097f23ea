"""What a CUDA GPU computes is what a CPU does, within its number format; its memory is used and given back."""

import json
import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
diffusers = pytest.importorskip("diffusers")

from pools import VALUES, distance, lesson, small_unet  # noqa: E402

from fairdream.classification import classifier  # noqa: E402
from fairdream.classification.pretrain import PretrainJob, pretrain  # noqa: E402
from fairdream.classification.retrain import RetrainJob, retrain  # noqa: E402
from fairdream.config.models import ClipModel, EncoderModel  # noqa: E402
from fairdream.config.retrain import RetrainValues  # noqa: E402
from fairdream.data.images import open_rgb  # noqa: E402
from fairdream.diffusion import trainer  # noqa: E402
from fairdream.diffusion.adapters import WEIGHTS  # noqa: E402
from fairdream.diffusion.finetune import FinetuneJob, finetune  # noqa: E402
from fairdream.diffusion.latents import Base  # noqa: E402
from fairdream.diffusion.pipeline import GenerateJob, load_drawer, sample  # noqa: E402
from fairdream.errors import UserError  # noqa: E402
from fairdream.identity import file_digest  # noqa: E402
from fairdream.models import compile  # noqa: E402
from fairdream.models.clip import Clip  # noqa: E402
from fairdream.models.device import inference_dtype  # noqa: E402
from fairdream.models.fetch_model import fetch_model  # noqa: E402

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA GPU")]

RESOURCES = Path(__file__).resolve().parents[2] / "resources"
COMPUTED = [torch.float32, torch.bfloat16, torch.float16]


@pytest.fixture(autouse=True)
def _as_a_job_begins(monkeypatch):
    """TF32 is allowed by the stages that use it, and by no stage before."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    torch.set_float32_matmul_precision("highest")


def train(numbers, folder, device, dtype=torch.float32, stopping=lambda: False, **values):
    """Train a pool on a device; return weights and losses of each."""
    finished = {}
    unet = small_unet().to(device, dtype)
    lessons = [lesson(number, folder) for number in numbers]
    for own in lessons:
        own.text, own.mean, own.std = own.text.to(device, dtype), own.mean.to(device), own.std.to(device)

    def fail(own, error):
        raise error

    trainer.train(
        Base(unet.train(), diffusers.DDPMScheduler()),
        lessons,
        FinetuneJob(**{**VALUES, **values}),
        lambda own, weights: finished.update({own.name: (weights, [row["loss"] for row in own.rows])}),
        fail,
        stopping,
    )
    return finished


@pytest.mark.parametrize("dtype", COMPUTED, ids=str)
def test_a_pool_learns_what_the_cpu_teaches_one_adapter(tmp_path, dtype, tell):
    pool = train(range(3), tmp_path, "cuda", dtype)
    for number in range(3):
        alone = train([number], tmp_path, "cpu")
        (weights, losses), (expected, expected_losses) = pool[f"subject{number}"], alone[f"subject{number}"]
        assert {value.dtype for value in weights.values()} == {torch.float32}
        assert losses == pytest.approx(expected_losses, rel=1e-4 if dtype == torch.float32 else 0.03)
        if dtype == torch.float32:
            found = distance(weights, expected)
            tell(f"an adapter of a pool on the GPU and one trained on the CPU differ by {found:.1e}")
            assert found < 1e-3


def test_a_stopped_training_goes_on(tmp_path):
    whole = train(range(3), tmp_path / "whole", "cuda", torch.bfloat16)
    looks = iter([False, True])
    with pytest.raises(UserError, match="saved at step 20"):
        train(range(3), tmp_path, "cuda", torch.bfloat16, lambda: next(looks))
    again = train(range(3), tmp_path, "cuda", torch.bfloat16)
    # a GPU adds up some gradients in no fixed order
    for name, (weights, losses) in whole.items():
        assert distance(again[name][0], weights) < 0.02
        assert again[name][1] == pytest.approx(losses, rel=0.01)


@pytest.fixture
def run(tmp_path):
    """Four subjects of the embedded base model, at a size at which their activations are what fills memory."""
    fetch_model(str(tmp_path / "diffusion.json"), "diffusion", {"id": str(RESOURCES / "tiny-sd"), "revision": None})
    for number in range(4):
        path = tmp_path / f"{number}.png"
        Image.fromarray(np.random.default_rng(number).integers(0, 255, (128, 128, 3), np.uint8)).save(path)
        images = [{"id": path.name, "path": str(path), "sha256": file_digest(path)}]
        (tmp_path / f"s{number}.json").write_text(json.dumps({"subject": f"s{number}", "group": "a", "images": images}))
    return tmp_path


def test_where_memory_is_short_the_pool_is_halved(run, monkeypatch, caplog):
    values = {**VALUES, "target_modules": ["to_k"], "resolution": 128, "batch_size": 16, "steps": 3}

    def job(out, pool):
        adapter = run / out / "adapters/s0" / WEIGHTS
        paths = [str(run / "s0.json"), str(run / "diffusion.json"), str(adapter), str(adapter.with_suffix(".csv"))]
        mates = {f"s{number}": values for number in range(4)}
        finetune(*paths, str(run / out / "store"), "code", FinetuneJob(**values), mates, pool)
        return len(list((run / out / "store/adapters").glob(f"*/{WEIGHTS}")))

    used = {}
    for pool in (2, 4):
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        assert job(f"room{pool}", pool) == pool
        used[pool] = torch.cuda.max_memory_reserved()
    assert used[4] > 1.5 * used[2], "else this test shows nothing"
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(1.2 * used[2] / torch.cuda.get_device_properties(0).total_memory)
    try:
        with caplog.at_level(logging.WARNING, "fairdream"):
            assert job("short", 4) == 2
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert "memory does not suffice for 4 adapters at once; half of them" in caplog.text


SAMPLING = GenerateJob(
    prompts=["photo of a even digit on land"],
    negative_prompt="on water",
    scheduler="DDIMScheduler",
    num_inference_steps=8,
    guidance_scale=2.0,
    adapter_scale=1.0,
    max_redraws=2,
    seed=0,
)


def draw(seeds, batch):
    drawer = load_drawer(str(RESOURCES / "tiny-sd"), None, SAMPLING)
    assert drawer.pipeline.device.type == "cuda"
    parts = [seeds[first : first + batch] for first in range(0, len(seeds), batch)]
    return np.concatenate([sample(drawer, SAMPLING.prompts * len(part), part, SAMPLING) for part in parts])


@pytest.mark.parametrize("compiled", ["0", "1"])
def test_images_are_those_of_the_cpu_in_any_batch(monkeypatch, caplog, compiled, tell):
    monkeypatch.setenv("FAIRDREAM_COMPILE", compiled)
    monkeypatch.setattr(compile, "RARE", 2)
    seeds = list(range(8))
    with caplog.at_level(logging.WARNING, "fairdream"):
        images = draw(seeds, 4)
    assert "torch.compile failed" not in caplog.text
    stock = diffusers.StableDiffusionPipeline.from_pretrained(RESOURCES / "tiny-sd", safety_checker=None)
    stock.scheduler = diffusers.DDIMScheduler.from_config(stock.scheduler.config)
    # before 2.13, torch drew other numbers in half precision
    generators = [torch.Generator("cpu").manual_seed(seed) for seed in seeds]
    size, dtype = stock.unet.config.sample_size, inference_dtype(torch.device("cuda"))
    noise = [torch.randn((1, 4, size, size), generator=own, dtype=dtype).float() for own in generators]
    expected = stock(
        SAMPLING.prompts * 8,
        negative_prompt=["on water"] * 8,
        latents=torch.cat(noise),
        num_inference_steps=8,
        guidance_scale=2.0,
        output_type="np",
    ).images
    difference = np.abs(images - expected).mean((1, 2, 3))
    others = np.abs(images - np.roll(expected, 1, 0)).mean((1, 2, 3))
    tell(f"compiled {compiled}: an image of the GPU is {difference.max():.3f} from the CPU's, of 1")
    assert difference.max() < 0.03
    assert others.min() > 3 * difference.max(), "another seed's is another one"
    if compiled == "0":
        assert np.abs(draw(seeds[:2], 1) - images[:2]).mean() < 0.03


def test_embeddings_are_those_of_the_cpu(tmp_path, monkeypatch):
    pictures = []
    for number in range(6):
        pictures.append(tmp_path / f"{number}.png")
        Image.fromarray(np.random.default_rng(number).integers(0, 255, (48, 40, 3), np.uint8)).save(pictures[-1])
    model = ClipModel(name=f"local-dir:{RESOURCES / 'tiny-clip'}", pretrained=None)
    on_gpu = Clip(model, "")
    assert on_gpu.device.type == "cuda"
    found = on_gpu.embed_images(open_rgb, pictures, 6, 4), on_gpu.embed_text("photo of a digit")
    monkeypatch.setattr("fairdream.models.clip.best_device", lambda: torch.device("cpu"))
    on_cpu = Clip(model, "")
    expected = on_cpu.embed_images(open_rgb, pictures, 6, 4), on_cpu.embed_text("photo of a digit")
    for own, other in zip(found, expected, strict=True):
        assert (own * other).sum(-1).min() > 0.999


def test_a_classifier_learns_through_both_stages_and_is_read_on_a_cpu(tmp_path):
    rows = []
    for number in range(80):
        label, path = number % 2, f"{number:02d}.png"
        pixels = np.random.default_rng(number).integers(0, 100, (32, 32, 3)) + 120 * label
        Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / path)
        name = {"id": path, "folder": str(tmp_path), "path": path, "split": "train" if number < 60 else "test"}
        rows.append({**name, "label": "ab"[label], "group": f"{'ab'[label]}-x"})
    pd.DataFrame(rows).to_parquet(tmp_path / "split.parquet")
    (tmp_path / "encoder.json").write_text(json.dumps({"path": str(tmp_path), "files": {}}))
    steps = {"learning_rate": 0.05, "weight_decay": 0.0, "momentum": 0.9, "steps": 40, "beta": 0.5}
    config = PretrainJob(
        **steps,
        batch_size=16,
        temperature=1.0,
        image_size=32,
        crop_scale=0.8,
        flip=True,
        encoder=EncoderModel(name="small_cnn"),
        labels=["a", "b"],
        batches="all",
        checkpoints=[0.5],
        gdro=None,
        jtt=None,
    )
    given = str(tmp_path / "split.parquet")
    weights = str(tmp_path / "stage1.safetensors")
    pretrain(None, given, str(tmp_path / "encoder.json"), weights, 0, "code", config)
    out = [str(tmp_path / "stage2.safetensors"), str(tmp_path / "predictions.parquet")]
    retrain(
        weights, given, *out, 0, "code", RetrainJob(recipe="llr_all", training=RetrainValues(**steps, batch_size=16))
    )
    table = pd.read_parquet(out[1])
    assert (table["predicted"] == table["label"]).mean() > 0.95
    assert torch.cuda.max_memory_allocated() > 0
    network, _, _ = classifier.load(out[0])
    assert {value.device.type for value in network.state_dict().values()} == {"cpu"}
