"""The training of a pool of adapters: the one loop, for one adapter as for many.

Notable choices:

- The loss is the noise-prediction error of DDPM (Ho et al. 2020, eq. 14), as in diffusers' `train_dreambooth_lora.py`.
- Adapter weights stay in float32 over a half-precision base: bfloat16 would round AdamW's small updates to nothing.
- Every random number derives from (seed, subject, step), so a training that was killed goes on exactly, and an adapter
  is the same whichever others are trained beside it, to rounding.
"""

from __future__ import annotations

import math
import resource
import time
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING

from fairdream.config.finetune import FinetuneValues
from fairdream.diffusion.adapters import load_checkpoint, save_checkpoint
from fairdream.diffusion.latents import Base, Lesson
from fairdream.errors import UserError
from fairdream.identity import seed_of
from fairdream.models.device import send
from fairdream.runtime.job import LOGGER, progress

if TYPE_CHECKING:
    import torch

    from fairdream.diffusion.lora_pool import Pool

HISTORY_EVERY = 10  # steps
CHECKPOINT_EVERY = 120  # seconds


class FinetuneJob(FinetuneValues):
    """What one adapter's training needs beside its images."""

    prompt: str
    token: str | None
    seed: int


def train(
    base: Base,
    lessons: list[Lesson],
    config: FinetuneJob,
    finish: Callable[[Lesson, dict[str, torch.Tensor]], None],
    fail: Callable[[Lesson, UserError], None],
    stopping: Callable[[], bool] = lambda: False,
    began: float | None = None,
) -> None:
    """Train an adapter for each subject, all at once.

    An adapter with a checkpoint goes on from it, so they may be at different steps. Checkpoints are written every two
    minutes, and when `stopping` says that the job is to end. One that reaches its last step, or whose loss is not
    finite, leaves, and the others go on.

    Parameters
    ----------
    config
        Of any of them: they differ in the prompt alone.
    finish
        Called with each adapter that is complete, its weights under peft's names.
    fail
        Called with each adapter that cannot be trained, and why.
    began
        `time.monotonic()` when the pool's loading began: it counts as the first steps' time.

    Raises
    ------
    UserError
        When the training was asked to stop before its end.
    """
    pool = _pool(base, lessons, config)
    saved = measured = time.monotonic()
    measured = measured if began is None else began
    counted = 0  # images since then
    what = lessons[0].name if len(lessons) == 1 else f"{len(lessons)} adapters"
    for _ in progress(range(min(lesson.step for lesson in lessons), config.steps), f"Training {what}"):
        _step(pool, base, lessons, config)
        counted += len(lessons) * config.batch_size
        due = [own for own in lessons if own.step % HISTORY_EVERY == 0 or own.step == config.steps]
        if not due:
            continue
        means = _mean_losses(due)
        now = time.monotonic()
        for lesson, mean in zip(due, means, strict=True):
            lesson.rows.append(_row(lesson, mean, config, counted / (now - measured)))
        counted, measured = 0, now
        lessons = _leave(pool, lessons, config, finish, fail)
        if not lessons:
            return
        asked = stopping()
        if asked or now - saved > CHECKPOINT_EVERY:
            _save(pool, lessons)
            saved = time.monotonic()
        if asked:
            where = " and ".join(str(step) for step in sorted({own.step for own in lessons}))
            raise UserError(f"{what}: asked to stop; saved at step {where}, from which the next attempt resumes")


def learning_rate(config: FinetuneValues, step: int) -> float:
    """Return the rate of a step (from 0): linear warm-up, then constant, or half a cosine down to 0.

    The cosine is that of diffusers' `get_cosine_schedule_with_warmup`.
    """
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    if config.schedule == "constant":
        return config.learning_rate
    done = (step - config.warmup_steps) / max(1, config.steps - config.warmup_steps)
    return config.learning_rate * (1 + math.cos(math.pi * done)) / 2


def _step(pool: Pool, base: Base, lessons: list[Lesson], config: FinetuneJob) -> None:
    """Take each adapter one step further, at its own rate; nothing here waits for the device."""
    import torch

    losses = _losses(base, lessons, config)
    pool.backward(losses)
    rates = torch.tensor([learning_rate(config, own.step) for own in lessons])
    pool.update(send(rates, losses.device), config.weight_decay, config.max_grad_norm)
    for lesson, loss in zip(lessons, losses.detach().unbind(), strict=True):
        lesson.losses.append(loss)
        lesson.step += 1


def _mean_losses(due: list[Lesson]) -> list[float]:
    """Return the mean of each adapter's losses since the last call; the only wait for the device, every tenth step."""
    import torch

    means = torch.stack([torch.stack(own.losses).mean() for own in due]).tolist()
    for lesson in due:
        lesson.losses = []
    return means


def _row(lesson: Lesson, loss: float, config: FinetuneJob, speed: float) -> dict[str, float]:
    """Return a row of the history; its rate is that of the step just taken."""
    return {
        "step": lesson.step,
        "loss": loss,
        "learning_rate": learning_rate(config, lesson.step - 1),
        "images_per_second": speed,
        "peak_memory_mb": _peak_memory_mb(lesson.mean.device),
    }


def _leave(
    pool: Pool,
    lessons: list[Lesson],
    config: FinetuneJob,
    finish: Callable[[Lesson, dict[str, torch.Tensor]], None],
    fail: Callable[[Lesson, UserError], None],
) -> list[Lesson]:
    """Hand over what is complete, and what cannot become so; return the lessons that stay in the pool."""
    staying = []
    for index, lesson in enumerate(lessons):
        loss = lesson.rows[-1]["loss"] if lesson.rows else 0.0
        if not math.isfinite(loss):
            message = f"{lesson.name}: the loss is {loss} at step {lesson.step}; lower finetune.learning_rate"
            fail(lesson, UserError(message))
        elif lesson.step == config.steps:
            finish(lesson, pool.adapter(index))
        else:
            staying.append(index)
    if staying and len(staying) < len(lessons):
        pool.keep(staying)
    return [lessons[index] for index in staying]


def _losses(base: Base, lessons: list[Lesson], config: FinetuneJob) -> torch.Tensor:
    """Return each adapter's loss (n,) at its own step, on images, noise and timesteps of its own streams."""
    import torch

    device = lessons[0].mean.device
    size, steps = config.batch_size, base.schedule.config.num_train_timesteps
    drawn, times, means, stds = [], [], [], []
    for lesson in lessons:
        generator = torch.Generator().manual_seed(seed_of("finetune", config.seed, lesson.name, lesson.step))
        # one by one: a list of indices would go to the device, and be waited for
        chosen = _batch(lesson.step, len(lesson.mean), size, (config.seed, lesson.name))
        drawn.append(torch.randn((2, size, *lesson.mean.shape[1:]), generator=generator))
        times.append(torch.randint(0, steps, (size,), generator=generator))
        means += [lesson.mean[index] for index in chosen]
        stds += [lesson.std[index] for index in chosen]
    noise_of = send(torch.cat(drawn, dim=1), device)  # (2, n * b, 4, h, w)
    timesteps = send(torch.cat(times), device)
    latents = torch.stack(means) + torch.stack(stds) * noise_of[0]
    noise = noise_of[1]
    noisy = base.schedule.add_noise(latents, noise, timesteps)
    text = torch.cat([own.text.expand(size, -1, -1) for own in lessons])
    added = {key: torch.cat([own.added[key].expand(size, -1) for own in lessons]) for key in lessons[0].added}
    predicted = base.unet(noisy.to(text.dtype), timesteps, text, added_cond_kwargs=added or None).sample
    target = noise
    if base.schedule.config.prediction_type == "v_prediction":
        target = base.schedule.get_velocity(latents, noise, timesteps)
    return (predicted.float() - target).square().unflatten(0, (len(lessons), size)).flatten(1).mean(1)


def _batch(step: int, count: int, size: int, names: tuple[object, ...]) -> list[int]:
    """Return the images of a step: a new seeded order each epoch, batches running on across its end."""
    chosen = []
    for position in range(step * size, (step + 1) * size):
        epoch, place = divmod(position, count)
        chosen.append(_order(epoch, count, names)[place])
    return chosen


@lru_cache(maxsize=64)
def _order(epoch: int, count: int, names: tuple[object, ...]) -> list[int]:
    import torch

    generator = torch.Generator().manual_seed(seed_of("epoch", *names, epoch))
    return torch.randperm(count, generator=generator).tolist()


def _save(pool: Pool, lessons: list[Lesson]) -> None:
    import torch

    for index, lesson in enumerate(lessons):
        losses = torch.stack(lesson.losses) if lesson.losses else torch.zeros(0)
        save_checkpoint(lesson.checkpoint, pool.row(index), losses, lesson.step, lesson.rows)


def _pool(base: Base, lessons: list[Lesson], config: FinetuneJob) -> Pool:
    """Return the adapters, each from where its checkpoint is, or else as all begin."""
    import torch

    from fairdream.diffusion.lora_pool import Pool

    pool = Pool(
        base.unet,
        config.target_modules,
        config.rank,
        config.alpha,
        seed_of("adapter", config.seed),
        len(lessons),
        half=lessons[0].text.dtype == torch.float16,
    )
    for index, lesson in enumerate(lessons):
        _resume(pool, index, lesson)
    return pool


def _resume(pool: Pool, index: int, lesson: Lesson) -> None:
    """Go on from a lesson's checkpoint, if there is one."""
    found = load_checkpoint(lesson.checkpoint)
    if found is None:
        return
    row, losses, lesson.step, lesson.rows = found
    pool.load_row(index, row)
    lesson.losses = list(losses.to(lesson.mean.device).unbind())
    LOGGER.info("%s: going on at step %d from %s", lesson.name, lesson.step, lesson.checkpoint)


def _peak_memory_mb(device: torch.device) -> float:
    import torch

    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
