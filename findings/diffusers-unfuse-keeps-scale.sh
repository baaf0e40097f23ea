#!/usr/bin/env bash
# diffusers 0.42.1, peft 0.21.2: unfuse_lora does not take back the scale of fuse_lora(lora_scale=...): the next scale is
# multiplied by all before it.
#
# fuse_lora multiplies the adapter's own scale by lora_scale and merges; unfuse_lora takes the merged weights out, and
# leaves the scale. A comparison of strengths by fuse, draw, unfuse therefore shows others than it says, and what is drawn
# after unfuse_lora without fusing is at the last strength, not at that of the training. Once at 0, an adapter stays there.
#
# Seen: for 0.25, 0.5, 0.75 and 1 the output's distance from that without an adapter falls instead of rising: the strengths
# were 0.25, 0.125, 0.094 and 0.094. What is right: load the adapter anew for each, or set_adapters and fuse at 1.
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
STRENGTHS = (0.25, 0.5, 0.75, 1.0)


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

def adapted():
    """Return a UNet with an adapter whose matrices are random, as those of a trained one are not 0."""
    unet = small_unet()
    unet.add_adapter(LoraConfig(r=4, lora_alpha=4, init_lora_weights=False, target_modules=["to_q", "to_k", "to_v"]), "a")
    return unet


@torch.no_grad()
def run(unet):
    generator = torch.Generator().manual_seed(1)
    x, text = torch.randn(1, 4, 8, 8, generator=generator), torch.randn(1, 7, 16, generator=generator)
    return unet(x, torch.tensor([500]), text).sample


plain = run(small_unet())
fresh, swept, left = [], [], []
one = adapted()
for strength in STRENGTHS:
    new = adapted()
    new.fuse_lora(lora_scale=strength)
    fresh.append(run(new))
    one.fuse_lora(lora_scale=strength)
    swept.append(run(one))
    one.unfuse_lora()
    left.append(next(module.scaling["a"] for name, module in one.named_modules() if name.endswith("attn1.to_q")))

print(f"diffusers {diffusers.__version__}, peft {peft.__version__}; distance from the output without an adapter")
print(f"lora_scale               {STRENGTHS}")
print(f"adapter loaded anew      {[round(float((own - plain).norm()), 3) for own in fresh]}")
print(f"fused and unfused        {[round(float((own - plain).norm()), 3) for own in swept]}")
print(f"scale after unfuse_lora  {left}")
assert torch.allclose(swept[0], fresh[0])
assert all((one - other).norm() > 0.2 * (other - plain).norm() for one, other in zip(swept[1:], fresh[1:], strict=True))
assert left == [0.25, 0.125, 0.09375, 0.09375]
print("as described")
END
