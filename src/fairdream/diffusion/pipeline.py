"""The stock Stable Diffusion pipeline, loaded for a job that draws many images with one adapter, and its call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fairdream.config.base import Section
from fairdream.errors import UserError
from fairdream.models.compile import compile_if_wanted
from fairdream.models.device import best_device, inference_dtype
from fairdream.models.weights import NO_CHECKER, load_quietly

if TYPE_CHECKING:
    import numpy as np
    import torch

# Of an image's amplitude, the most that the first timestep may expect in the pure noise that drawing begins with: 50
# steps of Stable Diffusion's own spacing have 0.08, and from 0.2 on images are visibly pale.
MOST_SIGNAL = 0.2


class GenerateJob(Section):
    """What the images of one subject need beside the adapter."""

    prompts: list[str]
    negative_prompt: str
    scheduler: str
    timestep_spacing: str | None = None
    num_inference_steps: int
    guidance_scale: float
    guidance_interval: list[float] | None = None
    adapter_scale: float
    max_redraws: int
    seed: int


@dataclass
class Drawer:
    """A loaded pipeline, and each prompt's embedding."""

    pipeline: Any
    # of one prompt, by the names of the pipeline's arguments, each (1, ...); without guidance none is negative
    embeddings: dict[str, dict[str, torch.Tensor]]


def load_drawer(path: str, adapter: str | None, config: GenerateJob) -> Drawer:
    """Load the pipeline and encode the job's prompts."""
    import torch

    pipeline = load_pipeline(path, adapter, config)
    positive = list(dict.fromkeys(config.prompts))
    names = ("prompt_embeds", "negative_prompt_embeds", "pooled_prompt_embeds", "negative_pooled_prompt_embeds")
    embeddings = {}
    with torch.inference_mode():
        for prompt in positive:
            # SDXL returns the pooled ones too
            encoded = pipeline.encode_prompt(
                prompt,
                device=pipeline.device,
                num_images_per_prompt=1,
                do_classifier_free_guidance=config.guidance_scale > 1,
                negative_prompt=config.negative_prompt,
            )
            embeddings[prompt] = {k: v for k, v in zip(names, encoded, strict=False) if v is not None}
    return Drawer(pipeline, embeddings)


def load_pipeline(path: str, adapter: str | None, config: GenerateJob) -> Any:
    """Load the stock pipeline with the configured scheduler and the adapter merged into its weights."""
    import diffusers
    import torch

    load_quietly()
    device = best_device()
    pipeline = diffusers.DiffusionPipeline.from_pretrained(path, dtype=inference_dtype(device), **NO_CHECKER).to(device)
    if not isinstance(pipeline, diffusers.StableDiffusionPipeline | diffusers.StableDiffusionXLPipeline):
        raise UserError(f"models.diffusion: {type(pipeline).__name__} is not of the SD 1, SD 2 or SDXL family")
    scheduler = getattr(diffusers, config.scheduler, None)
    if scheduler is None:
        raise UserError(f"generate.scheduler: diffusers has no {config.scheduler}")
    spacing = {"timestep_spacing": config.timestep_spacing} if config.timestep_spacing else {}
    pipeline.scheduler = scheduler.from_config(pipeline.scheduler.config, **spacing)
    check_first_step(pipeline.scheduler, config)
    if adapter is not None:
        try:
            pipeline.load_lora_weights(adapter)
        except (RuntimeError, ValueError, KeyError) as error:
            if isinstance(error, torch.OutOfMemoryError):
                raise
            raise UserError(
                f"{adapter}: is no adapter of the base model {path}; delete it and start again, it is trained again "
                f"({str(error).splitlines()[0]})"
            ) from None
        # merged weights cost nothing at sampling; the scale is fixed for the job
        pipeline.fuse_lora(lora_scale=config.adapter_scale)
        pipeline.unload_lora_weights()
    if device.type == "cpu":
        # the order that oneDNN's convolutions compute in: nothing is turned around before and after each
        pipeline.unet.to(memory_format=torch.channels_last)
        pipeline.vae.to(memory_format=torch.channels_last)
    compile_if_wanted(pipeline.unet)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def check_first_step(scheduler: Any, config: GenerateJob) -> None:
    """Look where the steps of the job's own scheduler lie; `planning.noise_schedules` knew the common ones before.

    Raises
    ------
    UserError
        When a timestep is none of the base model's, or the first one is not nearly pure noise.
    """
    what = f"generate.num_inference_steps: {config.num_inference_steps} steps of {config.scheduler}"
    way = "take another number, or another generate.timestep_spacing or scheduler"
    try:
        scheduler.set_timesteps(config.num_inference_steps)
    except (ValueError, IndexError, AssertionError) as error:
        raise UserError(f"{what} cannot be made ({error}); {way}") from None
    first, least = float(scheduler.timesteps.max()), float(scheduler.timesteps.min())
    if least < 0 or first > scheduler.config.num_train_timesteps - 1:
        strange = least if least < 0 else first
        raise UserError(f"{what} have one at timestep {strange:.0f}, which the base model does not know; {way}")
    if getattr(scheduler, "sigmas", None) is not None:
        signal = float(1 / (1 + scheduler.sigmas[0] ** 2) ** 0.5)
    else:
        signal = float(scheduler.alphas_cumprod[round(first)] ** 0.5)
    if signal > MOST_SIGNAL:
        raise UserError(
            f"{what} begin at timestep {first:.0f}, where {signal:.0%} of an image should be left in the noise (at "
            f"most {MOST_SIGNAL:.0%}), so the images would be pale; {way}"
        )


def sample(drawer: Drawer, prompts: list[str], seeds: list[int], config: GenerateJob) -> np.ndarray:
    """Return images (n, h, w, 3) in [0, 1], one a prompt and seed, as the stock pipeline draws them."""
    import torch

    with torch.inference_mode():
        of = [drawer.embeddings[prompt] for prompt in prompts]
        embeddings = {name: torch.cat([own[name] for own in of]) for name in of[0]}
        return drawer.pipeline(
            **embeddings,
            **guidance(embeddings, config),
            generator=[torch.Generator("cpu").manual_seed(seed) for seed in seeds],
            num_inference_steps=config.num_inference_steps,
            output_type="np",
        ).images


def guidance(embeddings: dict[str, torch.Tensor], config: GenerateJob) -> dict[str, Any]:
    """Return the pipeline's arguments that guide all steps, or those of an interval (Kynkäänniemi et al. 2024).

    Step i of n is guided when start <= i / n < stop. The change is made as in diffusers' guide to dynamic
    classifier-free guidance: by a callback, which hands the next steps both halves of the batch, or one.
    """
    import torch

    if config.guidance_interval is None or config.guidance_scale <= 1:
        return {"guidance_scale": config.guidance_scale}
    (start, stop), steps = config.guidance_interval, config.num_inference_steps

    def scale(step: int) -> float:
        return config.guidance_scale if start <= step / steps < stop else 1.0  # 1: not guided

    # what the pipeline's loop calls what it is given, in SD and SDXL
    loop = {"prompt_embeds": "prompt_embeds"}
    if "pooled_prompt_embeds" in embeddings:
        loop["add_text_embeds"] = "pooled_prompt_embeds"

    def change(pipeline: Any, step: int, _: Any, given: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        following = scale(step + 1)
        if following == scale(step):
            return {}
        pipeline._guidance_scale = following
        halves = ("negative_", "") if following > 1 else ("",)
        changed = {name: torch.cat([embeddings[half + argument] for half in halves]) for name, argument in loop.items()}
        if "add_time_ids" in given:  # one image size for all
            changed["add_time_ids"] = given["add_time_ids"][:1].repeat(len(changed["prompt_embeds"]), 1)
        return changed

    return {
        "guidance_scale": scale(0),
        "callback_on_step_end": change,
        "callback_on_step_end_tensor_inputs": ["add_time_ids"] if len(loop) > 1 else [],
    }
