"""Adapters trained in a pool are the adapters that each would be alone, and those that peft and torch's AdamW make."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
import weakref
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
diffusers = pytest.importorskip("diffusers")

import torch.nn.functional as F  # noqa: E402
from peft import LoraConfig  # noqa: E402
from peft.utils import get_peft_model_state_dict, set_peft_model_state_dict  # noqa: E402
from pools import ATTENTION, VALUES, distance, lesson, small_unet  # noqa: E402

from fairdream.diffusion import finetune as finetuning  # noqa: E402
from fairdream.diffusion import trainer  # noqa: E402
from fairdream.diffusion.adapters import WEIGHTS, load_checkpoint  # noqa: E402
from fairdream.diffusion.finetune import FinetuneJob, finetune  # noqa: E402
from fairdream.diffusion.latents import Base  # noqa: E402
from fairdream.diffusion.lora_pool import Pool  # noqa: E402
from fairdream.errors import UserError  # noqa: E402
from fairdream.identity import file_digest, seed_of  # noqa: E402
from fairdream.models.fetch_model import fetch_model  # noqa: E402
from fairdream.runtime.files import claim  # noqa: E402

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def sdxl_unet():
    """As SDXL's: linear projections, two transformer layers, conditions added to the time embedding."""
    torch.manual_seed(1)
    unet = diffusers.UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(8, 16),
        layers_per_block=1,
        norm_num_groups=4,
        attention_head_dim=(1, 2),
        cross_attention_dim=8,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        use_linear_projection=True,
        transformer_layers_per_block=(1, 2),
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=56,  # 8 pooled + 6 sizes x 8
    )
    return unet.requires_grad_(False)


def kandinsky_unet():
    """Attentions that also read keys and values of their own for the text: none of their projections may be lost."""
    torch.manual_seed(1)
    unet = diffusers.UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(8, 16),
        layers_per_block=1,
        norm_num_groups=4,
        attention_head_dim=2,
        cross_attention_dim=8,
        mid_block_type="UNetMidBlock2DSimpleCrossAttn",
        down_block_types=("SimpleCrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "SimpleCrossAttnUpBlock2D"),
    )
    return unet.requires_grad_(False)


def base():
    return Base(small_unet().train(), diffusers.DDPMScheduler())


def train(numbers, folder, stopping=lambda: False, **values):
    """Train a pool; return weights and history of each that was finished, and the errors of the others."""
    finished, failed = {}, {}
    lessons = [lesson(number, folder) for number in numbers]
    trainer.train(
        base(),
        lessons,
        FinetuneJob(**{**VALUES, **values}),
        lambda own, weights: finished.update({own.name: (weights, own.rows)}),
        lambda own, error: failed.update({own.name: str(error)}),
        stopping,
    )
    return finished, failed


@pytest.fixture(scope="module")
def solo(tmp_path_factory):
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("solo")
    return {f"subject{number}": train([number], folder)[0][f"subject{number}"] for number in range(12)}


def peft_unet(targets=VALUES["target_modules"], make=small_unet):
    unet = make()
    with torch.random.fork_rng():
        torch.manual_seed(seed_of("adapter", 0))
        unet.add_adapter(LoraConfig(r=2, lora_alpha=4.0, init_lora_weights="gaussian", target_modules=targets))
    return unet


# projections of attentions are fused where all of them have adapters
TARGETS = pytest.mark.parametrize("targets", [VALUES["target_modules"], ["to_k", "to_v", "conv1", "time_emb_proj"]])


@TARGETS
def test_adapters_begin_as_peft_s_bit_for_bit(targets):
    expected = get_peft_model_state_dict(peft_unet(targets))
    pool = Pool(small_unet(), targets, 2, 4.0, seed_of("adapter", 0), 3)
    for index in range(3):
        found = pool.adapter(index)
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[key], expected[key]) for key in expected)


def test_over_a_base_in_half_precision_adapters_stay_in_float32_and_their_gradients_near_it():
    generator = torch.Generator().manual_seed(0)
    noisy, target = torch.randn((2, 6, 4, 8, 8), generator=generator)
    timesteps = torch.randint(0, 1000, (6,), generator=generator)
    text = torch.randn((6, 5, 8), generator=generator)
    gradients = {}
    for dtype in (torch.float32, torch.bfloat16):
        unet = small_unet().to(dtype)
        pool = Pool(unet, VALUES["target_modules"], 2, 4.0, 0, 3)
        row = pool.row(1)
        row["weight"] += 0.2 * torch.randn(row["weight"].shape, generator=torch.Generator().manual_seed(1))
        for index in range(3):
            pool.load_row(index, row)
        predicted = unet(noisy.to(dtype), timesteps, text.to(dtype)).sample
        assert predicted.dtype == dtype
        pool.backward((predicted.float() - target).square().unflatten(0, (3, 2)).flatten(1).mean(1))
        gradients[dtype] = torch.stack([pool.gradient(index) for index in range(3)])
        pool.update(torch.full((3,), 1e-3), 0.01, 1.0)
        assert all(value.dtype == torch.float32 for value in pool.adapter(0).values())
    some, others = gradients.values()
    assert others.dtype == torch.float32
    assert 0 < float((some - others).norm() / some.norm()) < 0.05


def check_gradients(make, targets, added, tolerance):
    """Compare losses and gradients of a pool of three, whose adapters differ, with those of peft, one by one."""
    pool_unet, unet = make(), peft_unet(targets, make)
    pool = Pool(pool_unet, targets, 2, 4.0, 0, 3)
    generator = torch.Generator().manual_seed(0)
    for index in range(3):
        row = pool.row(index)
        row["weight"] += 0.2 * torch.randn(row["weight"].shape, generator=generator)  # B is no longer zero
        pool.load_row(index, row)
    noisy, target = torch.randn((2, 6, 4, 8, 8), generator=generator)
    timesteps = torch.randint(0, 1000, (6,), generator=generator)
    text = torch.randn((6, 5, 8), generator=generator)
    added = {name: torch.randn((6, width), generator=generator) for name, width in added.items()}
    predicted = pool_unet(noisy, timesteps, text, added_cond_kwargs=added).sample
    losses = (predicted - target).square().unflatten(0, (3, 2)).flatten(1).mean(1)
    pool.backward(losses)
    for index in range(3):
        own = slice(2 * index, 2 * index + 2)
        set_peft_model_state_dict(unet, pool.adapter(index))
        unet.zero_grad()
        conditions = {name: values[own] for name, values in added.items()}
        alone = unet(noisy[own], timesteps[own], text[own], added_cond_kwargs=conditions).sample
        loss = F.mse_loss(alone, target[own])
        loss.backward()
        named = {key.replace(".default", ""): value for key, value in unet.named_parameters() if value.requires_grad}
        gradient = torch.cat([named[key].grad.flatten() for key in pool.adapter(index)])
        assert losses[index].item() == pytest.approx(loss.item(), rel=1e-5)
        assert (pool.gradient(index) - gradient).norm() < tolerance * gradient.norm()
        # the comparison would notice another adapter's
        assert (pool.gradient((index + 1) % 3) - gradient).norm() > 0.1 * gradient.norm()
    return pool_unet


@TARGETS
def test_loss_and_gradient_of_each_adapter_are_peft_s(targets):
    unet = check_gradients(small_unet, targets, {}, 1e-5)
    assert hasattr(unet.down_blocks[0].attentions[0].transformer_blocks[0].attn1, "to_qkv") == ("to_q" in targets)


@pytest.mark.parametrize(
    ("make", "targets", "added"),
    [
        (sdxl_unet, ATTENTION, {"text_embeds": 8, "time_ids": 6}),
        (sdxl_unet, [*ATTENTION, "ff.net.0.proj", "proj_in", "conv1"], {"text_embeds": 8, "time_ids": 6}),
        (kandinsky_unet, ATTENTION, {}),
        (kandinsky_unet, [*ATTENTION, "add_k_proj", "add_v_proj"], {}),
    ],
)
def test_they_are_in_other_families_too(make, targets, added):
    # peft's own gradients in float32 are up to 3e-4 from those in float64, the pool's 1.3e-4
    check_gradients(make, targets, added, 1e-3)


def test_an_adapter_alone_is_what_peft_and_torch_s_adamw_make(solo, tmp_path):
    unet, config, own = peft_unet(), FinetuneJob(**VALUES), lesson(4, tmp_path)
    parameters = [value for value in unet.parameters() if value.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=config.learning_rate, weight_decay=config.weight_decay)
    clipped = 0
    for step in range(config.steps):
        generator = torch.Generator().manual_seed(seed_of("finetune", config.seed, own.name, step))
        batch = trainer._batch(step, len(own.mean), 2, (config.seed, own.name))
        noise_of = torch.randn((2, 2, 4, 8, 8), generator=generator)
        timesteps = torch.randint(0, 1000, (2,), generator=generator)
        latents = own.mean[batch] + own.std[batch] * noise_of[0]
        noisy = diffusers.DDPMScheduler().add_noise(latents, noise_of[1], timesteps)
        loss = F.mse_loss(unet(noisy, timesteps, own.text.expand(2, -1, -1)).sample, noise_of[1])
        loss.backward()
        clipped += bool(torch.nn.utils.clip_grad_norm_(parameters, config.max_grad_norm) > config.max_grad_norm)
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * min(1.0, (step + 1) / config.warmup_steps)
        optimizer.step()
        optimizer.zero_grad()
    assert clipped > 0
    assert distance(solo["subject4"][0], get_peft_model_state_dict(unet)) < 1e-4


def test_the_cosine_schedule_is_the_one_of_diffusers():
    from diffusers.optimization import get_cosine_schedule_with_warmup

    config = FinetuneJob(**VALUES | {"schedule": "cosine", "warmup_steps": 5, "steps": 40})
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=config.learning_rate)
    schedule = get_cosine_schedule_with_warmup(optimizer, 5, 40)
    theirs = []
    for _ in range(40):
        theirs.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    ours = [trainer.learning_rate(config, step) for step in range(40)]
    # warming up, ours begins with the first share of the rate, theirs with none
    assert ours[:6] == pytest.approx([*theirs[1:6], config.learning_rate])
    assert ours[5:] == pytest.approx(theirs[5:])
    assert ours[-1] < 0.01 * config.learning_rate


@pytest.mark.parametrize("size", [1, 3, 12])
def test_an_adapter_of_a_pool_is_the_one_trained_alone(solo, tmp_path, size):
    finished, failed = train(range(size), tmp_path)
    assert not failed
    assert list(finished) == [f"subject{number}" for number in range(size)]
    for name, (weights, rows) in finished.items():
        assert distance(weights, solo[name][0]) < 1e-4
        assert [row["step"] for row in rows] == [10, 20, 30, 40, 50]
        assert [row["loss"] for row in rows] == pytest.approx([row["loss"] for row in solo[name][1]], rel=1e-4)
    if size > 1:
        assert distance(finished["subject0"][0], solo["subject1"][0]) > 0.01, "another subject's is another one"


def stop_after(looks):
    """A question that is answered with yes the given time."""
    asked = iter(range(1, 100))
    return lambda: next(asked) == looks


def test_a_stopped_pool_goes_on_to_the_same_bits(tmp_path):
    whole, _ = train(range(3), tmp_path / "whole")
    with pytest.raises(
        UserError, match=r"^3 adapters: asked to stop; saved at step 20, from which the next attempt resumes"
    ):
        train(range(3), tmp_path, stop_after(2))
    again, _ = train(range(3), tmp_path)
    for name, (weights, rows) in whole.items():
        assert all(torch.equal(weights[key], again[name][0][key]) for key in weights)
        assert [row["step"] for row in again[name][1]] == [row["step"] for row in rows]


def test_adapters_at_different_steps_go_on_together(solo, tmp_path):
    """Of three, one was saved at step 30 and one at step 10 by pools of their own, and one is new."""
    for number, looks in ((0, 3), (1, 1)):
        with pytest.raises(UserError, match=rf"^subject{number}: asked to stop; saved at step {10 * looks}"):
            train([number], tmp_path, stop_after(looks))
    finished, _ = train([0, 1, 2], tmp_path)
    assert list(finished) == ["subject0", "subject1", "subject2"], "the one that was furthest leaves first"
    for name, (weights, rows) in finished.items():
        assert distance(weights, solo[name][0]) < 1e-4
        assert [row["step"] for row in rows] == [10, 20, 30, 40, 50]


def test_an_adapter_that_leaves_within_ten_steps_changes_no_other_s_history(tmp_path):
    """The last step is not a tenth one: the others are then saved between two rows of their histories."""
    alone, _ = train([1], tmp_path / "alone", steps=25)
    with pytest.raises(UserError):
        train([0], tmp_path, stop_after(2), steps=25)
    with pytest.raises(UserError, match="saved at step 5"):
        train([0, 1], tmp_path, stop_after(1), steps=25)
    _, losses, step, _ = load_checkpoint(tmp_path / "subject1.safetensors")
    assert (step, len(losses)) == (5, 5)
    finished, _ = train([1], tmp_path, steps=25)
    rows = [(row["step"], row["loss"]) for row in finished["subject1"][1]]
    assert [step for step, _ in rows] == [10, 20, 25]
    assert [loss for _, loss in rows] == pytest.approx([row["loss"] for row in alone["subject1"][1]], rel=1e-4)


def test_one_adapter_s_overflow_ends_it_alone(solo, tmp_path, monkeypatch):
    fresh = lesson

    def spoilt(number, folder):
        own = fresh(number, folder)
        if number == 1:
            own.mean[2] = float("inf")
        return own

    monkeypatch.setitem(globals(), "lesson", spoilt)
    finished, failed = train(range(3), tmp_path)
    assert list(finished) == ["subject0", "subject2"]
    (message,) = failed.values()
    assert message.startswith("subject1: the loss is ")
    assert message.endswith("lower finetune.learning_rate")
    for name, (weights, _) in finished.items():
        assert distance(weights, solo[name][0]) < 1e-4


def test_in_float16_an_overflow_skips_its_own_adapter_s_update_and_halves_its_scale():
    unet = small_unet()
    pool = Pool(unet, ["to_k"], 2, 2.0, 0, 2, half=True)
    before = [pool.row(index) for index in range(2)]
    pool.gradient(0).fill_(65536.0)
    pool.gradient(1).fill_(float("inf"))
    pool.update(torch.tensor([0.1, 0.1]), 0.0, 1.0)
    first, second = (pool.row(index) for index in range(2))
    assert not torch.equal(first["weight"], before[0]["weight"])
    assert first["scale"].item() == 65536
    assert first["updates"].item() == 1
    for key in ("weight", "exp_avg", "exp_avg_sq", "updates"):
        assert torch.equal(second[key], before[1][key])
    assert second["scale"].item() == 32768


def test_a_name_that_fits_no_layer_is_told():
    with pytest.raises(UserError, match=r"target_modules: the UNet has no layer named to_kk"):
        Pool(small_unet(), ["to_kk"], 2, 2.0, 0, 1)
    with pytest.raises(UserError, match=r"target_modules: .*norm1 is a (Layer|Group)Norm"):
        Pool(small_unet(), ["norm1"], 2, 2.0, 0, 1)


# ---- Jobs

SUBJECTS = ["even-land", "even-water", "odd-land", "odd-water"]
SHORT = {**VALUES, "target_modules": ["to_k"], "steps": 4, "warmup_steps": 0, "learning_rate": 1e-3}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A base model and the member files of four subjects with one to four images."""
    folder = tmp_path_factory.mktemp("run")
    fetch_model(str(folder / "diffusion.json"), "diffusion", {"id": str(ROOT / "resources/tiny-sd"), "revision": None})
    for number, name in enumerate(SUBJECTS):
        images = []
        for image in range(number + 1):
            path = folder / f"{name}-{image}.png"
            pixels = np.random.default_rng(10 * number + image).integers(0, 255, (32, 32, 3), np.uint8)
            Image.fromarray(pixels).save(path)
            images.append({"id": path.name, "path": str(path), "sha256": file_digest(path)})
        (folder / f"{name}.json").write_text(json.dumps({"subject": name, "group": name, "images": images}))
    return folder


def cfg_of(name: str, **values) -> dict:
    return {**SHORT, "prompt": f"photo of {name}", **values}


def job(run, out: Path, name: str, pool: int = 4, mates=SUBJECTS, **values) -> Path:
    """Run the job of one subject, as the rule does."""
    adapter = out / "adapters" / name / WEIGHTS
    finetune(
        str(run / f"{name}.json"),
        str(run / "diffusion.json"),
        str(adapter),
        str(adapter.with_name("history.csv")),
        str(out / "store"),
        "code",
        FinetuneJob(**cfg_of(name, **values)),
        {mate: cfg_of(mate, **values) for mate in mates},
        pool,
    )
    return adapter


def trained(monkeypatch) -> list[list[str]]:
    """The pools that are trained from now on."""
    pools, original = [], trainer.train
    monkeypatch.setattr(
        finetuning,
        "train",
        lambda base, lessons, *rest: pools.append([own.name for own in lessons]) or original(base, lessons, *rest),
    )
    return pools


def test_a_job_trains_its_missing_mates_and_they_end_without_importing_torch(run, tmp_path, monkeypatch):
    pools = trained(monkeypatch)
    job(run, tmp_path, "odd-land")
    assert pools == [["odd-land", "even-land", "even-water", "odd-water"]]
    program = (
        f"import sys; sys.path[:0] = {[str(ROOT / 'src'), str(Path(__file__).parent)]}\n"
        "from fairdream.diffusion.finetune import FinetuneJob, finetune\n"
        f"finetune({str(run / 'even-land.json')!r}, {str(run / 'diffusion.json')!r}, {str(tmp_path / 'a/w')!r}, "
        f"{str(tmp_path / 'a/h')!r}, {str(tmp_path / 'store')!r}, 'code', FinetuneJob(**{cfg_of('even-land')!r}), "
        f"{ {mate: cfg_of(mate) for mate in SUBJECTS}!r}, 4)\n"
        "sys.exit(bool({'torch', 'diffusers', 'peft', 'numpy'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "a/w").is_file()
    assert (tmp_path / "a/h").read_text().startswith("step,loss,")


def test_a_pool_has_at_the_most_as_many_as_were_asked_for_and_its_own_first(run, tmp_path, monkeypatch):
    pools = trained(monkeypatch)
    for name in SUBJECTS:
        job(run, tmp_path, name, pool=3)
    assert pools == [["even-land", "even-water", "odd-land"], ["odd-water"]]


def test_a_pool_changes_no_adapter_s_identity_nor_its_bytes_beyond_rounding(run, tmp_path):
    from safetensors.torch import load_file

    pooled, alone = job(run, tmp_path / "pooled", "odd-water"), job(run, tmp_path / "alone", "odd-water", pool=1)
    assert distance(load_file(pooled), load_file(alone)) < 1e-4
    folders = [{path.name for path in (tmp_path / name / "store/adapters").iterdir()} for name in ("pooled", "alone")]
    assert len(folders[1]) == 1
    assert folders[1] < folders[0]


def test_a_mate_whose_output_is_there_is_not_trained_though_the_store_was_deleted(run, tmp_path, monkeypatch):
    import shutil

    job(run, tmp_path, "even-land", mates=[])
    shutil.rmtree(tmp_path / "store")
    pools = trained(monkeypatch)
    job(run, tmp_path, "odd-land", mates=["even-land", "odd-water"])
    assert pools == [["odd-land", "odd-water"]]


def test_mates_that_train_otherwise_are_none(run, tmp_path, monkeypatch):
    pools = trained(monkeypatch)
    adapter = tmp_path / "adapters/even-land" / WEIGHTS
    mates = {"even-water": cfg_of("even-water", steps=5), "gone": cfg_of("gone"), "odd-land": cfg_of("odd-land")}
    config = FinetuneJob(**cfg_of("even-land"))
    paths = str(run / "even-land.json"), str(run / "diffusion.json"), str(adapter), str(adapter.with_suffix(".csv"))
    finetune(*paths, str(tmp_path / "store"), "code", config, mates, 4)
    assert pools == [["even-land", "odd-land"]]


def test_a_mate_s_failure_is_told_by_its_own_job_alone(run, tmp_path, monkeypatch):
    original = finetuning.encode

    def spoilt(*arguments):
        lessons = original(*arguments)
        if "odd-water" in lessons:
            lessons["odd-water"].mean.fill_(float("nan"))
        return lessons

    monkeypatch.setattr(finetuning, "encode", spoilt)
    job(run, tmp_path, "even-land")
    pools = trained(monkeypatch)
    job(run, tmp_path, "even-water")
    with pytest.raises(UserError, match=r"^odd-water: the loss is nan at step 4; lower finetune.learning_rate"):
        job(run, tmp_path, "odd-water")
    assert pools == [], "a failure is told, not repeated"
    monkeypatch.setattr(finetuning, "encode", original)
    job(run, tmp_path, "odd-water")
    assert pools == [["odd-water"]], "the next attempt trains"


def test_a_changed_image_of_a_mate_does_not_stop_a_job(run, tmp_path):
    path = run / "odd-water-1.png"
    before = path.read_bytes()
    try:
        path.write_bytes(before + b" ")
        job(run, tmp_path, "even-land")
        with pytest.raises(UserError, match=r"odd-water-1\.png changed during the run"):
            job(run, tmp_path, "odd-water")
    finally:
        path.write_bytes(before)


def test_where_memory_is_short_the_pool_is_halved(run, tmp_path, monkeypatch):
    sizes, unets, original = [], [], trainer._losses

    def short(base, lessons, *rest):
        sizes.append(len(lessons))
        if len(sizes) == 2:
            assert unets[0]() is None, "the greater pool's UNet has to leave memory"
        unets.append(weakref.ref(base.unet))
        if len(lessons) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return original(base, lessons, *rest)

    monkeypatch.setattr(trainer, "_losses", short)
    job(run, tmp_path, "odd-land")
    assert sizes == [4, 2, 2, 2, 2], "the mates that are left are their own jobs' to train"
    job(run, tmp_path, "odd-water")
    monkeypatch.setattr(trainer, "_losses", lambda *_: (_ for _ in ()).throw(torch.OutOfMemoryError("out of memory")))
    with pytest.raises(UserError, match=r"^odd-land: the device's memory does not suffice.*finetune.batch_size"):
        job(run, tmp_path / "one", "odd-land", pool=1)


def hold(paths, ready):
    with claim(paths, len(paths)) as mine:
        assert len(mine) == len(paths)
        ready.set()
        time.sleep(600)


def test_a_job_whose_adapter_another_process_trains_trains_its_mates_meanwhile(run, tmp_path, monkeypatch):
    """And a lock ends with its process: the other one is killed, and the job trains its own."""
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    pools = trained(monkeypatch)
    job(run, tmp_path / "names", "even-land", mates=[])
    (identity,) = [path.name for path in (tmp_path / "names/store/adapters").iterdir()]
    pools.clear()
    other = context.Process(target=hold, args=([tmp_path / "store/adapters" / identity / "lock"], ready))
    other.start()
    try:
        assert ready.wait(30)

        def kill(seconds):
            assert pools == [["even-water", "odd-land", "odd-water"]]
            os.kill(other.pid, signal.SIGKILL)
            other.join(30)

        monkeypatch.setattr(finetuning.time, "sleep", kill)
        job(run, tmp_path, "even-land")
    finally:
        other.kill()
        other.join(30)
    assert pools == [["even-water", "odd-land", "odd-water"], ["even-land"]]


def test_two_jobs_at_once_train_each_adapter_once(run, tmp_path):
    context = multiprocessing.get_context("fork")

    def own_process(name):
        torch.set_num_threads(1)
        original = finetuning.train

        def slow(base, lessons, *rest):
            (tmp_path / f"{name}.txt").write_text("\n".join(own.name for own in lessons))
            time.sleep(1)  # long enough for the other to arrive
            return original(base, lessons, *rest)

        finetuning.train = slow
        job(run, tmp_path, name, pool=2)

    jobs = [context.Process(target=own_process, args=(name,)) for name in ("even-land", "even-water")]
    for process in jobs:
        process.start()
    for process in jobs:
        process.join(120)
    assert [process.exitcode for process in jobs] == [0, 0]
    names = [name for file in tmp_path.glob("*.txt") for name in file.read_text().split()]
    assert sorted(names) == sorted(set(names))
    assert {"even-land", "even-water"} <= set(names)
