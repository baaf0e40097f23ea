#!/usr/bin/env bash
# diffusers 0.42.1, peft 0.21.2: one call with cross_attention_kwargs={"scale": 0.0}, as for a picture without the adapter
# beside those with it, sets the weights that set_adapters gave back to 1, for all later calls.
#
# A call multiplies each adapter's scale by its own and divides by it afterwards; where it is 0 it cannot, and sets every
# active adapter to the scale of its training. Calls with any other scale leave things as they were. Pipelines hand the
# argument to the UNet as it is.
#
# Seen: with two adapters at 0.7 and 0.3 a call with scale 0 gives the output without adapters, and the next plain call that
# of 1 and 1.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
packages=(diffusers==0.42.1 peft==0.21.2 transformers==5.23.0 torch==2.13.0 numpy==2.4.6)
if command -v uv > /dev/null; then
    uv venv --quiet "$folder/venv"
    uv pip install --quiet --python "$folder/venv/bin/python" "${packages[@]}"
else
    python3 -m venv "$folder/venv"
    "$folder/venv/bin/pip" install --quiet --disable-pip-version-check "${packages[@]}"
fi

cd "$folder"
"$folder/venv/bin/python" -W ignore - << 'END'
import diffusers
import peft
import torch
from diffusers import UNet2DConditionModel
from peft import LoraConfig

diffusers.utils.logging.set_verbosity_error()


def small_unet():
    torch.manual_seed(0)
    return UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(32, 32),
        layers_per_block=1,
        norm_num_groups=8,
        cross_attention_dim=16,
        attention_head_dim=4,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    ).eval()

def adapted(weights):
    """Return a UNet with two adapters at some weights; their matrices are random, as trained ones are not 0."""
    unet = small_unet()
    for name in ("face", "style"):
        values = LoraConfig(r=4, lora_alpha=4, init_lora_weights=False, target_modules=["to_q", "to_k", "to_v"])
        unet.add_adapter(values, name)
    unet.set_adapters(["face", "style"], weights)
    return unet


@torch.no_grad()
def run(unet, **arguments):
    generator = torch.Generator().manual_seed(1)
    x, text = torch.randn(1, 4, 8, 8, generator=generator), torch.randn(1, 7, 16, generator=generator)
    return unet(x, torch.tensor([500]), text, **arguments).sample


plain, full = run(small_unet()), run(adapted([1.0, 1.0]))
unet = adapted([0.7, 0.3])
before = run(unet)
run(unet, cross_attention_kwargs={"scale": 0.5})
between = run(unet)
without = run(unet, cross_attention_kwargs={"scale": 0.0})
after = run(unet)
print(f"diffusers {diffusers.__version__}, peft {peft.__version__}; distance from the output at weights 0.7 and 0.3")
print(f"after a call with scale 0.5: {float((between - before).norm()):.4f}")
print(f"after a call with scale 0:   {float((after - before).norm()):.4f}")
print(f"at weights 1 and 1:          {float((full - before).norm()):.4f}")
assert torch.allclose(between, before, atol=1e-5)
assert torch.allclose(without, plain, atol=1e-5)
assert not torch.allclose(after, before, atol=1e-2)
assert torch.allclose(after, full, atol=1e-5)
print("as described")
END
