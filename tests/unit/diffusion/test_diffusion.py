"""Fine-tuning and generation with the embedded base model: a few steps, checked against stock diffusers.

Nothing here depends on how good the base model is, only on what is computed with it.
"""

import io
import json
import multiprocessing
import os
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

torch = pytest.importorskip("torch")
diffusers = pytest.importorskip("diffusers")

from safetensors import safe_open  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

from fairdream.data.defects import defect  # noqa: E402
from fairdream.diffusion import finetune as finetuning  # noqa: E402
from fairdream.diffusion import generate as generation  # noqa: E402
from fairdream.diffusion import trainer  # noqa: E402
from fairdream.diffusion.adapters import WEIGHTS, save_adapter  # noqa: E402
from fairdream.diffusion.finetune import FinetuneJob, finetune  # noqa: E402
from fairdream.diffusion.generate import GenerateJob, generate  # noqa: E402
from fairdream.diffusion.lora_pool import Pool  # noqa: E402
from fairdream.errors import UserError  # noqa: E402
from fairdream.identity import file_digest  # noqa: E402
from fairdream.models import compile  # noqa: E402
from fairdream.models.fetch_model import fetch_model  # noqa: E402
from fairdream.reporting.cards import AdaptersCardJob, adapters_card  # noqa: E402

ROOT = Path(__file__).resolve().parents[3]
MODEL = ROOT / "resources/tiny-sd"

TRAINING = {
    "rank": 2,
    "alpha": 2.0,
    "target_modules": ["to_k", "to_q", "to_v", "to_out.0"],
    "resolution": 32,
    "learning_rate": 0.05,
    "weight_decay": 0.01,
    "warmup_steps": 2,
    "max_grad_norm": 1.0,
    "batch_size": 2,
    "steps": 4,
    "prompt": "photo of a sks even digit",
    "token": "sks",
    "seed": 0,
}
SAMPLING = {
    "prompts": ["photo of a even digit on land"],
    "negative_prompt": "on water",
    "scheduler": "DDIMScheduler",
    "timestep_spacing": "trailing",
    "num_inference_steps": 3,
    "guidance_scale": 2.0,
    "adapter_scale": 1.0,
    "max_redraws": 2,
    "seed": 0,
}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A folder with the model's manifest, a subject of five images and an adapter that was trained on them."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("diffusion")
    fetch_model(str(folder / "diffusion.json"), "diffusion", {"id": str(MODEL), "revision": None})
    images = []
    for number in range(5):
        path = folder / f"{number}.png"
        pixels = np.random.default_rng(number).integers(0, 255, (40, 36, 3), np.uint8)
        Image.fromarray(pixels).save(path)
        images.append({"id": path.name, "path": str(path), "sha256": file_digest(path)})
    (folder / "subject.json").write_text(json.dumps({"subject": "even-land", "group": "even-land", "images": images}))
    train(folder)
    return folder


def train(folder, store="store", out="adapter", **values):
    adapter = folder / out / WEIGHTS
    finetune(
        subject=str(folder / "subject.json"),
        model=str(folder / "diffusion.json"),
        adapter=str(adapter),
        history=str(folder / out / "history.csv"),
        store=str(folder / store),
        code="code",
        config=FinetuneJob(**{**TRAINING, **values}),
    )
    return adapter


def draw(folder, out, shard="000000-000004", batch_size=4, adapter=True, store=None, **values):
    path = folder / out
    generate(
        model=str(folder / "diffusion.json"),
        adapter=str(folder / "adapter" / WEIGHTS) if adapter else None,
        images=str(path),
        store=str(store or folder / "store"),
        code="code",
        group="even-land",
        subject="even-land",
        shard=shard,
        batch_size=batch_size,
        config=GenerateJob(**{**SAMPLING, **values}),
    )
    return rows_of(path)


def rows_of(path):
    return {row["index"]: row for row in pq.read_table(path).to_pylist()}


def pixels(row) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(row["image"]["bytes"]))).astype(int)


def stock(row, adapter: str | None, **more) -> np.ndarray:
    """Draw a row's image with diffusers alone, from the row's own columns."""
    pipeline = diffusers.StableDiffusionPipeline.from_pretrained(MODEL, safety_checker=None)
    scheduler = getattr(diffusers, row["scheduler"])
    pipeline.scheduler = scheduler.from_config(pipeline.scheduler.config, timestep_spacing=row["timestep_spacing"])
    pipeline.set_progress_bar_config(disable=True)
    if adapter:
        pipeline.load_lora_weights(adapter)
    image = pipeline(
        prompt=row["prompt"],
        negative_prompt=row["negative_prompt"],
        generator=torch.Generator("cpu").manual_seed(row["seed"]),
        num_inference_steps=row["num_inference_steps"],
        guidance_scale=row["guidance_scale"],
        cross_attention_kwargs={"scale": row["adapter_scale"]} if adapter else None,
        **more,
    ).images[0]
    return np.asarray(image).astype(int)


# ---- Fine-tuning


def test_the_adapter_loads_in_the_stock_pipeline_and_changes_the_image(base):
    row = {**SAMPLING, "prompt": SAMPLING["prompts"][0], "seed": 7}
    adapter = str(base / "adapter" / WEIGHTS)
    assert not np.array_equal(stock(row, None), stock(row, adapter))
    # scaled to nothing, it changes nothing
    assert np.array_equal(stock(row, None), stock({**row, "adapter_scale": 0.0}, adapter))


def test_the_header_tells_what_the_adapter_was_trained_from(base):
    with safe_open(base / "adapter" / WEIGHTS, "pt") as file:
        header = file.metadata()
        dtypes = {file.get_tensor(key).dtype for key in file.keys()}  # noqa: SIM118 (not a dict)
    assert header["base_model"] == str(MODEL)
    assert header["prompt"] == TRAINING["prompt"]
    assert (header["token"], header["rank"], header["subject"]) == ("sks", "2", "even-land")
    assert json.loads(header["image_ids"]) == [f"{n}.png" for n in range(5)]
    assert dtypes == {torch.float32}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_file_without_its_header_is_as_strong_as_what_was_trained(base, tmp_path, dtype):
    values = {**TRAINING, "rank": 4, "alpha": 10.0, "target_modules": [*TRAINING["target_modules"], "conv1"]}
    plain, trained = (
        diffusers.UNet2DConditionModel.from_pretrained(MODEL, subfolder="unet").to(dtype) for _ in range(2)
    )
    pool = Pool(trained, values["target_modules"], 4, values["alpha"], seed=0, n=1)
    pool.state["weight"].normal_(std=0.1, generator=torch.Generator().manual_seed(0))
    save_adapter(pool.adapter(0), tmp_path / "own.safetensors", FinetuneJob(**values), {})
    save_file(load_file(tmp_path / "own.safetensors"), tmp_path / WEIGHTS)

    words = torch.randn(1, 7, plain.config.cross_attention_dim, generator=torch.Generator().manual_seed(1)).to(dtype)
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(2)).to(dtype)
    pipeline = diffusers.StableDiffusionPipeline.from_pretrained(MODEL, safety_checker=None).to(dtype)

    def predicted(unet) -> torch.Tensor:
        with torch.no_grad():
            return unet(latents, 500, words).sample.float()

    wanted, without = predicted(trained), predicted(plain)
    for file in ("own.safetensors", WEIGHTS):
        pipeline.load_lora_weights(tmp_path, weight_name=file)
        share = float((predicted(pipeline.unet) - wanted).norm() / (without - wanted).norm())
        assert share < {torch.float32: 1e-4, torch.bfloat16: 0.1}[dtype]  # of what the adapter does
        pipeline.unload_lora_weights()


def test_an_adapter_whose_alpha_is_its_rank_is_saved_as_it_is(base):
    with safe_open(base / "adapter" / WEIGHTS, "pt") as file:
        header = json.loads(file.metadata()["lora_adapter_metadata"])
    assert (header["unet.r"], header["unet.lora_alpha"]) == (2, 2.0)


def test_the_example_of_the_card_draws_with_the_adapter(base):
    place = base / "cards/even-land" / WEIGHTS
    place.parent.mkdir(parents=True)
    shutil.copy(base / "adapter" / WEIGHTS, place)
    words = {"base": str(MODEL), "revision": None, "dataset": "digits", "bias": "0.999", "method": "DreamBooth"}
    config = AdaptersCardJob(**words, origin="here", adapter_scale=0.5)
    adapters_card([str(place)], str(base / "cards/README.md"), config)
    front, text = (base / "cards/README.md").read_text().removeprefix("---\n").split("---\n", 1)
    front = yaml.safe_load(front)
    assert (front["base_model"], front["library_name"]) == (str(MODEL), "diffusers")
    assert front["instance_prompt"] == TRAINING["prompt"]
    assert f"| `even-land` | {TRAINING['prompt']} | 5 | 2 |" in text
    names: dict = {}
    exec(text.split("```python\n")[1].split("```")[0].replace("THIS_FOLDER", str(base / "cards")), names)
    assert names["pipe"].get_active_adapters()
    assert names["image"].size == (32, 32)


def test_the_history_has_a_row_for_the_last_step(base):
    lines = (base / "adapter/history.csv").read_text().splitlines()
    assert lines[0] == "step,loss,learning_rate,images_per_second,peak_memory_mb"
    last = lines[-1].split(",")
    assert int(last[0]) == 4
    assert float(last[1]) > 0
    assert float(last[2]) == 0.05


def test_a_finished_adapter_is_taken_from_the_store(base, monkeypatch):
    def refuse(*_):
        raise AssertionError("trained twice")

    monkeypatch.setattr(finetuning, "train", refuse)
    monkeypatch.setattr(finetuning, "load_base", refuse)
    again = train(base, out="again")
    assert again.read_bytes() == (base / "adapter" / WEIGHTS).read_bytes()
    assert (base / "again/history.csv").read_text() == (base / "adapter/history.csv").read_text()


@pytest.mark.parametrize("values", [{"learning_rate": 0.04}, {"prompt": "photo"}, {"seed": 1}, {"steps": 3}])
def test_another_value_is_another_adapter(base, monkeypatch, values):
    def refuse(*_):
        raise InterruptedError

    monkeypatch.setattr(finetuning, "load_base", refuse)
    with pytest.raises(InterruptedError):
        train(base, out="other", **values)
    assert not (base / "other").exists()


def test_a_killed_training_goes_on_exactly(base, monkeypatch):
    """Eight steps at once, and eight steps of which four were lost in a kill, are the same bits."""
    values = {"steps": 8}
    whole = load_file(train(base, store="whole", out="whole", **values))

    monkeypatch.setattr(trainer, "CHECKPOINT_EVERY", 0)
    monkeypatch.setattr(trainer, "HISTORY_EVERY", 2)
    save = trainer.save_checkpoint

    def save_and_die(path, row, losses, step, rows):
        save(path, row, losses, step, rows)
        if step == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(trainer, "save_checkpoint", save_and_die)
    with pytest.raises(KeyboardInterrupt):
        train(base, store="killed", out="killed", **values)
    assert not (base / "killed" / WEIGHTS).exists()
    (checkpoint,) = (base / "killed").rglob("checkpoint.safetensors")

    steps = []
    batch = trainer._batch
    monkeypatch.setattr(trainer, "_batch", lambda step, *rest: steps.append(step) or batch(step, *rest))
    resumed = load_file(train(base, store="killed", out="killed", **values))
    assert steps == [4, 5, 6, 7], "only the lost steps are done again"
    assert not checkpoint.exists()
    history = pd.read_csv(base / "killed" / "history.csv")
    assert list(history["step"]) == [2, 4, 6, 8], "the history has the steps before the kill too"
    assert resumed.keys() == whole.keys()
    assert all(torch.equal(resumed[key], whole[key]) for key in whole)
    first = load_file(base / "adapter" / WEIGHTS)
    assert any(not torch.equal(first[key], whole[key]) for key in whole), "four steps more change something"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_saves_the_training_and_stops_it(base, monkeypatch, number):
    monkeypatch.setattr(trainer, "HISTORY_EVERY", 2)
    values = {"steps": 8}
    batch = trainer._batch
    steps = []

    def send(step, *rest):
        steps.append(step)
        if step == 2:
            os.kill(os.getpid(), number)
        return batch(step, *rest)

    before = signal.getsignal(number)
    monkeypatch.setattr(trainer, "_batch", send)
    store = f"signal{number}"
    with pytest.raises(UserError, match=r"even-land: asked to stop; saved at step 4"):
        train(base, store=store, out=store, **values)
    assert signal.getsignal(number) is before
    assert steps == [0, 1, 2, 3]
    train(base, store=store, out=store, **values)
    assert steps == [0, 1, 2, 3, 4, 5, 6, 7]


def test_of_two_jobs_that_race_for_one_adapter_one_trains_it(base):
    """As an orphan of a killed run and the new run's job do, each in a process of its own."""
    context = multiprocessing.get_context("fork")
    trained = context.Value("i", 0)

    def job(out):
        torch.set_num_threads(1)
        original = finetuning.train

        def counted(*arguments):
            with trained.get_lock():
                trained.value += 1
            time.sleep(1)  # long enough for the other to arrive
            return original(*arguments)

        finetuning.train = counted
        train(base, store="race", out=out)

    jobs = [context.Process(target=job, args=(f"race{number}",)) for number in range(2)]
    for process in jobs:
        process.start()
    for process in jobs:
        process.join(120)
    assert [process.exitcode for process in jobs] == [0, 0]
    assert trained.value == 1
    assert (base / "race0" / WEIGHTS).read_bytes() == (base / "race1" / WEIGHTS).read_bytes()


def test_every_image_is_seen_once_an_epoch_in_an_order_of_its_own():
    seen = [image for step in range(5) for image in trainer._batch(step, 5, 2, (0, "s"))]
    assert sorted(seen[:5]) == sorted(seen[5:]) == [0, 1, 2, 3, 4]
    assert seen[:5] != [image for step in range(5) for image in trainer._batch(step, 5, 2, (1, "s"))][:5]
    assert len(trainer._batch(0, 1, 3, (0, "s"))) == 3


def test_a_loss_that_is_no_number_stops_with_the_key_to_lower(base):
    with pytest.raises(UserError, match=r"even-land: the loss is (nan|inf) at step \d+; lower finetune.learning_rate"):
        train(base, out="nan", learning_rate=1e30, warmup_steps=0)
    assert not (base / "nan").exists()


def test_an_image_that_changed_during_the_run_is_named(base):
    path = base / "3.png"
    before = path.read_bytes()
    try:
        path.write_bytes(before + b" ")
        with pytest.raises(UserError, match=r"3\.png changed during the run"):
            train(base, out="changed", seed=5)
    finally:
        path.write_bytes(before)


# ---- Generation


def close(one, other):
    difference = np.abs(pixels(one) - pixels(other))
    return (difference <= 1).mean() >= 0.999


def test_an_image_is_the_same_from_any_shard_and_batch(base):
    whole = draw(base, "whole.parquet", "000000-000006", batch_size=6)
    for out, shard, size in (("a", "000000-000006", 1), ("b", "000002-000006", 4), ("c", "000003-000005", 3)):
        part = draw(base, f"{out}.parquet", shard, batch_size=size)
        start, stop = map(int, shard.split("-"))
        assert list(part) == list(range(start, stop))
        for index, row in part.items():
            assert row["seed"] == whole[index]["seed"]
            assert row["id"] == whole[index]["id"] == f"even-land/even-land/{index:06d}"
            assert close(row, whole[index])
    assert not close(whole[0], whole[1]), "two images of a shard differ"


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_a_seed_is_the_same_image_in_the_number_formats_of_gpus(base, tmp_path, monkeypatch, dtype):
    expected = draw(base, "single.parquet")
    monkeypatch.setattr("fairdream.diffusion.pipeline.inference_dtype", lambda device: dtype)
    half = draw(base, f"{dtype}.parquet", store=tmp_path)
    for index, row in half.items():
        assert 0 < np.abs(pixels(row) - pixels(expected[index])).mean() < 3
        assert np.abs(pixels(row) - pixels(expected[(index + 1) % 4])).mean() > 10


@pytest.mark.parametrize("scheduler", ["DDIMScheduler", "DPMSolverMultistepScheduler"])
def test_every_row_can_be_drawn_again_by_stock_diffusers(base, scheduler):
    rows = draw(base, f"{scheduler}.parquet", scheduler=scheduler, adapter_scale=0.7)
    assert len(rows) == 4
    for row in rows.values():
        again = stock(row, str(base / "adapter" / WEIGHTS))
        assert np.abs(pixels(row) - again).mean() < 2
    # the comparison would notice a missing adapter
    assert np.abs(pixels(row) - stock(row, None)).mean() > np.abs(pixels(row) - again).mean()


def test_a_guidance_interval_is_what_stock_diffusers_cutoff_draws(base):
    """The pipeline's own callback ends guidance after a share of the steps."""
    from diffusers.callbacks import SDCFGCutoffCallback

    values = {"adapter": False, "num_inference_steps": 4}
    cut = draw(base, "cut.parquet", guidance_interval=[0.0, 0.5], **values)
    whole = draw(base, "uncut.parquet", guidance_interval=[0.0, 1.0], **values)
    plain = draw(base, "uninterrupted.parquet", **values)
    for index, row in cut.items():
        assert (row["guidance_start"], row["guidance_stop"]) == (0.0, 0.5)
        # diffusers sets the scale to 0 after step 1, from which on the batch is the positive half
        again = stock(row, None, callback_on_step_end=SDCFGCutoffCallback(cutoff_step_ratio=None, cutoff_step_index=1))
        assert np.abs(pixels(row) - again).mean() < 2
        assert not close(row, plain[index])
        assert pixels(whole[index]).tolist() == pixels(plain[index]).tolist()


def test_guidance_can_begin_after_some_steps(base):
    values = {"adapter": False, "num_inference_steps": 4}
    late = draw(base, "late.parquet", guidance_interval=[0.25, 1.0], **values)
    never = draw(base, "never.parquet", guidance_scale=1.0, **values)
    always = draw(base, "always.parquet", **values)
    assert not any(close(late[index], other[index]) for index in late for other in (never, always))
    unguided = draw(base, "nothing.parquet", guidance_interval=[0.99, 1.0], **values)
    assert all(close(unguided[index], never[index]) for index in never), "no step lies in the interval"


def test_a_prompt_is_encoded_once_a_job(base, monkeypatch):
    calls = []
    encode = diffusers.StableDiffusionPipeline.encode_prompt

    def counted(self, prompt, *arguments, **named):
        if prompt is not None:
            calls.append(prompt)
        return encode(self, prompt, *arguments, **named)

    monkeypatch.setattr(diffusers.StableDiffusionPipeline, "encode_prompt", counted)
    prompts = ["photo of a two on land", "photo of a four on land"]
    rows = draw(base, "prompts.parquet", "000000-000006", batch_size=2, prompts=prompts)
    assert [row["prompt"] for row in rows.values()] == prompts * 3
    assert calls == prompts


def test_a_compiler_that_fails_changes_nothing(base, monkeypatch, caplog):
    plain = draw(base, "eager.parquet", store=base / "eager")

    def broken(function, dynamic):
        def fail(*_, **__):
            raise RuntimeError("no C++ compiler")

        return fail

    monkeypatch.setattr(torch, "compile", broken)
    monkeypatch.setattr(compile, "RARE", 0)
    monkeypatch.setenv("FAIRDREAM_COMPILE", "1")
    with caplog.at_level("WARNING", "fairdream"):
        rows = draw(base, "fallback.parquet", store=base / "fallback")
    assert caplog.text.count("torch.compile failed (RuntimeError: no C++ compiler)") == 1
    assert [row["image"] for row in rows.values()] == [row["image"] for row in plain.values()]


def test_without_an_adapter_the_base_model_draws(base):
    rows = draw(base, "vanilla.parquet", "000000-000002", adapter=False, negative_prompt="")
    for row in rows.values():
        assert row["negative_prompt"] == ""
        assert np.abs(pixels(row) - stock(row, None)).mean() < 2


def test_a_killed_generation_goes_on_with_the_same_bytes(base, monkeypatch):
    draw(base, "undisturbed.parquet", "000000-000006", batch_size=2, store=base / "one")
    drawn = []
    sample = generation.sample

    def die_at_the_third(pipeline, prompts, seeds, config):
        drawn.append(seeds)
        if len(drawn) == 3:
            raise KeyboardInterrupt
        return sample(pipeline, prompts, seeds, config)

    monkeypatch.setattr(generation, "sample", die_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        draw(base, "killed.parquet", "000000-000006", batch_size=2, store=base / "two")
    assert not (base / "killed.parquet").exists()
    assert len(list((base / "two").rglob("*.parquet"))) == 2
    draw(base, "killed.parquet", "000000-000006", batch_size=2, store=base / "two")
    assert len(drawn) == 4, "kept batches are not drawn again"
    assert (base / "killed.parquet").read_bytes() == (base / "undisturbed.parquet").read_bytes()
    assert list((base / "two").rglob("*.parquet")) == []


BAD = {
    "NaN": np.full((8, 8, 3), np.nan),
    "black": np.zeros((8, 8, 3)),
    "flat": np.full((8, 8, 3), 0.5),
}
GOOD = np.random.default_rng(0).uniform(size=(8, 8, 3))


@pytest.mark.parametrize("problem", BAD)
def test_what_shows_nothing_is_found(problem):
    assert defect(BAD[problem]) == problem
    assert defect(GOOD) is None
    assert defect(np.where(np.arange(8)[:, None, None] < 7, BAD[problem], GOOD)) == (
        "NaN" if problem == "NaN" else None
    )


@pytest.mark.parametrize("problem", BAD)
def test_a_bad_image_is_drawn_again_with_the_next_seed_and_counted(base, monkeypatch, caplog, problem):
    calls = []

    def sample(pipeline, prompts, seeds, config):
        calls.append(list(seeds))
        return np.stack([BAD[problem] if len(calls) == 1 and place == 1 else GOOD for place in range(len(seeds))])

    monkeypatch.setattr(generation, "sample", sample)
    monkeypatch.setattr(generation, "load_drawer", lambda *_: object())
    with caplog.at_level("WARNING", "fairdream"):
        rows = draw(base, "redrawn.parquet", store=base / problem)
    assert calls[1] == [calls[0][1] + 1]
    assert [row["redraws"] for row in rows.values()] == [0, 1, 0, 0]
    assert [row["defects"] for row in rows.values()] == ["", problem, "", ""]
    assert [row["seed"] for row in rows.values()] == [calls[0][0], calls[1][0], *calls[0][2:]]
    assert pq.read_schema(base / "redrawn.parquet").metadata[b"redrawn"] == b"1"
    assert f"image 1, seed {calls[0][1]}: {problem}" in caplog.text


def test_too_many_bad_images_stop_the_job_with_a_message(base, monkeypatch):
    calls = []

    def sample(pipeline, prompts, seeds, config):
        calls.append(list(seeds))
        return np.stack([BAD["black"] if seed == calls[0][2] + len(calls) - 1 else GOOD for seed in seeds])

    monkeypatch.setattr(generation, "sample", sample)
    monkeypatch.setattr(generation, "load_drawer", lambda *_: object())
    with pytest.raises(UserError) as error:
        draw(base, "lost.parquet", store=base / "lost")
    assert len(calls) == 3, "the first seed and two redraws"
    for word in ("even-land", "image 2", "3 seeds", "history.csv", "finetune.learning_rate"):
        assert word in str(error.value)
    assert not (base / "lost.parquet").exists()


def test_an_unknown_scheduler_is_named(base):
    with pytest.raises(UserError, match=r"generate\.scheduler: diffusers has no MagicScheduler"):
        draw(base, "magic.parquet", scheduler="MagicScheduler")
