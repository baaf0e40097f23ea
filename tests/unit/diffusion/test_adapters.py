"""What an adapter is trained on in half precision, and how strong it is once it is saved and loaded."""

from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch")
diffusers = pytest.importorskip("diffusers")

from peft import LoraConfig  # noqa: E402
from peft.utils import get_peft_model_state_dict  # noqa: E402
from pools import VALUES, lesson, small_unet  # noqa: E402

from fairdream.diffusion import trainer  # noqa: E402
from fairdream.diffusion.adapters import WEIGHTS, save_adapter  # noqa: E402
from fairdream.diffusion.finetune import FinetuneJob  # noqa: E402
from fairdream.diffusion.latents import Base  # noqa: E402


def test_an_adapter_is_loaded_as_strong_as_it_was_trained_with_an_alpha_that_is_not_the_rank(tmp_path):
    config = FinetuneJob(**VALUES)
    assert config.alpha != config.rank
    trained, loaded = small_unet().eval(), small_unet().eval()
    trained.add_adapter(
        LoraConfig(
            r=config.rank,
            lora_alpha=config.alpha,
            init_lora_weights=False,
            target_modules=config.target_modules,
        )
    )
    save_adapter(get_peft_model_state_dict(trained), tmp_path / WEIGHTS, config, {})
    # what `load_lora_weights` of a pipeline does with its UNet
    loaded.load_lora_adapter(tmp_path, weight_name=WEIGHTS, prefix="unet")
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(1, 4, 8, 8, generator=generator), torch.tensor(500), torch.randn(1, 5, 8, generator=generator)
    with torch.no_grad():
        torch.testing.assert_close(loaded(*inputs).sample, trained(*inputs).sample)


def test_over_a_base_in_bfloat16_the_first_timesteps_have_their_noise(tmp_path):
    """Of bfloat16 latents diffusers would add none at timesteps 0 and 1 (findings/)."""
    seen = {}

    def unet(noisy, timesteps, *_, **__):
        seen.update(noisy=noisy, timesteps=timesteps)
        return SimpleNamespace(sample=noisy)

    own = lesson(0, tmp_path)
    own.text = own.text.bfloat16()
    own.mean, own.std = torch.zeros_like(own.mean), torch.zeros_like(own.std)
    schedule = diffusers.DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    trainer._losses(Base(unet, schedule), [own], FinetuneJob(**{**VALUES, "batch_size": 4000}))
    assert seen["noisy"].dtype == torch.bfloat16
    for timestep in range(4):
        deviation = seen["noisy"][seen["timesteps"] == timestep].float().std()
        assert float(deviation) == pytest.approx(float(1 - schedule.alphas_cumprod[timestep]) ** 0.5, rel=0.1)
