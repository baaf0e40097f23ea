"""Tiny-sd: a Stable Diffusion of a few megabytes, trained from scratch on rendered digits.

``python -m fairdream.demo.tiny_sd`` rebuilds it from a seed. It has Stable Diffusion's own classes, so that every tool
that loads v1.4 loads it. Notable choices:

- 32x32 images, latents of 8x8x4. After its training the autoencoder is rescaled in its 1x1 convolutions, so that each
  latent channel has zero mean and unit deviation and the scaling factor is 1.
- The text encoder is trained along with the UNet. A word that it does not know is spelled in bytes and ignored.
- The schedule is that of v1.4; the loss is the noise's squared error, weighted by min-SNR-5 (Hang et al. 2023).
- The weights are an exponential moving average, stored in half precision.
"""

import argparse
import copy
import math
import random
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairdream.demo.captions import CONTEXT, caption, dropped, load_tokenizer, write_tokenizer
from fairdream.demo.rendered import draw_many

if TYPE_CHECKING:
    import torch
    from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextModel

IMAGES = 40_000
BATCH = 48
WIDTH = 64


def to_float(images: "torch.Tensor") -> "torch.Tensor":
    """Bring uint8 images to -1..1."""
    return images.float() / 127.5 - 1


def cosine(step: int, steps: int, warmup: int = 200) -> float:
    """Give the learning rate's factor: a linear warm-up, then half a cosine down to 1 %."""
    if step < warmup:
        return (step + 1) / warmup
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def train_autoencoder(images: "torch.Tensor", steps: int, seed: int) -> "AutoencoderKL":
    """
    Train the autoencoder on absolute and squared error with a faint pull to the normal distribution.

    Parameters
    ----------
    images : torch.Tensor
        uint8 of shape (images, 3, 32, 32).
    steps : int
        Batches of 32.
    seed : int
        Seeds weights and batches.

    Returns
    -------
    AutoencoderKL
        With latents of zero mean and unit deviation per channel.
    """
    import torch
    from diffusers import AutoencoderKL

    torch.manual_seed(seed)
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(24, 32, 48),
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=8,
        sample_size=32,
        scaling_factor=1.0,
    )
    optimizer = torch.optim.AdamW(vae.parameters(), lr=2e-3, betas=(0.9, 0.99), weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: cosine(step, steps, 50))
    began = time.time()
    for step in range(steps):
        batch = to_float(images[torch.randint(len(images), (32,))])
        with torch.autocast("cpu", torch.bfloat16):
            posterior = vae.encode(batch).latent_dist
            error = vae.decode(posterior.sample()).sample.float() - batch
        loss = error.abs().mean() + 2 * error.square().mean() + 1e-5 * posterior.kl().float().mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 100 == 0 or step == steps - 1:
            rmse, seconds = error.square().mean().sqrt(), time.time() - began
            print(f"autoencoder {step} loss {loss.item():.4f} rmse {rmse:.4f} {seconds:.0f} s", flush=True)
    normalise_latents(vae, to_float(images[:2000]))
    return vae.eval()


def normalise_latents(vae: "AutoencoderKL", images: "torch.Tensor") -> None:
    """
    Rescale the autoencoder's 1x1 convolutions so that each latent channel has zero mean and unit deviation.

    Parameters
    ----------
    vae : AutoencoderKL
        Changed in place; it decodes what it encodes as before.
    images : torch.Tensor
        What to measure the latents on, in -1..1, of shape (images, 3, 32, 32).
    """
    import torch

    with torch.no_grad():
        means = torch.cat([vae.encode(batch).latent_dist.mean for batch in images.split(250)])
        shift, scale = means.mean((0, 2, 3)), means.std((0, 2, 3))
        encoder, decoder = vae.quant_conv, vae.post_quant_conv
        decoder.bias += (decoder.weight[:, :, 0, 0] * shift).sum(1)
        decoder.weight *= scale[None, :, None, None]
        # The encoder's first four outputs are the mean, the other four the logarithm of the variance.
        encoder.weight[:4] /= scale[:, None, None, None]
        encoder.bias[:4] = (encoder.bias[:4] - shift) / scale
        encoder.bias[4:] -= 2 * scale.log()


def build(seed: int, vocabulary: int) -> "tuple[UNet2DConditionModel, CLIPTextModel]":
    """Make an untrained UNet and text encoder."""
    import torch
    from diffusers import UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    torch.manual_seed(seed)
    unet = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(64, 96),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=WIDTH,
        attention_head_dim=4,
        norm_num_groups=16,
    )
    text = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=vocabulary,
            hidden_size=WIDTH,
            intermediate_size=2 * WIDTH,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=CONTEXT,
            bos_token_id=vocabulary - 2,
            eos_token_id=vocabulary - 1,
            pad_token_id=vocabulary - 1,
        )
    )
    return unet, text


def train(
    folder: Path,
    seed: int = 0,
    autoencoder_steps: int = 1000,
    steps: int = 6500,
    images: int = IMAGES,
    save_every: int = 0,
) -> None:
    """
    Train tiny-sd and save it as stock ``StableDiffusionPipeline.from_pretrained`` loads it.

    Parameters
    ----------
    folder, seed
        Where to save, and what seeds images, captions, weights and batches.
    autoencoder_steps, steps : int
        Batches for the autoencoder (32 images) and for UNet and text encoder (48 images).
    images : int
        How many images to render.
    save_every : int
        Save now and then in between, every so many steps; 0 for never.
    """
    import torch
    from diffusers import DDIMScheduler, DDPMScheduler

    rendered = draw_many(images, seed)
    vae = train_autoencoder(rendered.images, autoencoder_steps, seed)
    means, deviations = encoded(vae, rendered.images)
    write_tokenizer(folder / "tokenizer")
    tokenizer = load_tokenizer(folder / "tokenizer")
    unet, text = build(seed, len(tokenizer))
    schedule = dict(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", num_train_timesteps=1000)
    noising = DDPMScheduler(**schedule)
    scheduler = DDIMScheduler(**schedule, clip_sample=False, set_alpha_to_one=False, steps_offset=1)
    weights = [*unet.parameters(), *text.parameters()]
    averages = copy.deepcopy((unet, text))
    averaged = [*averages[0].parameters(), *averages[1].parameters()]
    optimizer = torch.optim.AdamW(weights, lr=1.2e-3, betas=(0.9, 0.99), weight_decay=0.01)
    rate = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: cosine(step, steps))
    rng, began, losses = random.Random(seed), time.time(), []
    for step in range(steps):
        picks = torch.randint(images, (BATCH,))
        captions = [dropped(caption(int(rendered.digits[i]), bool(rendered.water[i]), rng), rng) for i in picks]
        tokens = tokenizer(captions, padding="max_length", truncation=True, return_tensors="pt").input_ids
        latents = means[picks] + deviations[picks] * torch.randn(BATCH, 4, 8, 8)
        loss = denoising_loss(unet, text(tokens).last_hidden_state, latents, noising)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        rate.step()
        losses.append(loss.item())
        with torch.no_grad():
            # The average forgets its start quickly and lengthens its memory as training goes on.
            torch._foreach_lerp_(averaged, weights, max(1 - 0.999, 1 - (1 + step) / (10 + step)))
        if step % 200 == 199:
            print(f"diffusion {step + 1} loss {sum(losses[-200:]) / 200:.4f} {time.time() - began:.0f} s", flush=True)
        if step + 1 == steps or (save_every and step % save_every == save_every - 1):
            save(folder, vae, averages, tokenizer, scheduler)


def encoded(vae: "AutoencoderKL", images: "torch.Tensor") -> "tuple[torch.Tensor, torch.Tensor]":
    """Return mean and deviation of the latents of uint8 images, each of shape (images, 4, 8, 8)."""
    import torch

    with torch.no_grad():
        posteriors = [vae.encode(to_float(batch)).latent_dist for batch in images.split(500)]
        means, deviations = (torch.cat([getattr(p, name) for p in posteriors]) for name in ("mean", "std"))
    return means, deviations


def denoising_loss(unet: Any, text: "torch.Tensor", latents: "torch.Tensor", noising: Any) -> "torch.Tensor":
    """Return the noise-prediction error on latents of shape (batch, 4, 8, 8), with min-SNR weights (Hang et al. 2023).

    Their eq. 7 with gamma 5.
    """
    import torch
    from diffusers.training_utils import compute_snr

    noise = torch.randn_like(latents)
    times = torch.randint(1000, (BATCH,))
    guess = unet(noising.add_noise(latents, noise, times), times, text).sample
    snr = compute_snr(noising, times)
    return ((guess - noise).square().mean((1, 2, 3)) * snr.clamp(max=5) / snr).mean()


def save(folder: Path, vae: Any, averages: Any, tokenizer: Any, scheduler: Any) -> "StableDiffusionPipeline":
    """
    Save copies of the models as a Stable Diffusion pipeline.

    UNet and autoencoder are stored in half precision, which diffusers reads as single precision unless told otherwise.
    The small text encoder is stored in single precision, since transformers keeps the precision that it finds.
    """
    import torch
    from diffusers import StableDiffusionPipeline

    unet, text = (copy.deepcopy(model) for model in averages)
    pipeline = StableDiffusionPipeline(
        vae=copy.deepcopy(vae).to(torch.float16),
        text_encoder=text,
        tokenizer=tokenizer,
        unet=unet.to(torch.float16),
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(folder, safe_serialization=True)
    return pipeline


def main() -> None:
    """Rebuild the base model."""
    import torch

    parser = argparse.ArgumentParser(description="Train the demo's base model on rendered digits.")
    parser.add_argument("--folder", type=Path, default=Path("resources/tiny-sd"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--autoencoder-steps", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=6500)
    parser.add_argument("--images", type=int, default=IMAGES)
    parser.add_argument("--save-every", type=int, default=0, help="save in between, every so many steps")
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    train(
        arguments.folder,
        arguments.seed,
        arguments.autoencoder_steps,
        arguments.steps,
        arguments.images,
        arguments.save_every,
    )


if __name__ == "__main__":
    main()
