#!/usr/bin/env bash
# diffusers 0.42.1, peft 0.21.2: after fuse_qkv_projections() most of a LoRA adapter does nothing, without an error or a
# warning, whether the adapter was loaded before it or after.
#
# Fusing copies the base weights of to_q, to_k and to_v into one layer, which is called in their place. The adapter stands
# on the three, which nothing calls any more: of the usual targets only to_out and cross-attention's to_q still count. The
# guides to fast drawing advise it. What is right: fuse_lora and unload_lora_weights first.
#
# Seen: both ways round the output is that of an adapter without its matrices for the other layers, to rounding; after
# unfuse_qkv_projections the whole adapter is there again.
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

def adapt(unet, only=""):
    """Add an adapter with the targets of diffusers' training scripts; `only`: what is not 0 of it."""
    targets = ["to_q", "to_k", "to_v", "to_out.0"]
    unet.add_adapter(LoraConfig(r=4, lora_alpha=4, init_lora_weights=False, target_modules=targets), "a")
    generator = torch.Generator().manual_seed(2)
    for name, weight in unet.named_parameters():
        if "lora_" in name:
            weight.data = 0.3 * torch.randn(weight.shape, generator=generator)
            if only and not any(part in name for part in only):
                weight.data.zero_()
    return unet


@torch.no_grad()
def run(unet):
    generator = torch.Generator().manual_seed(1)
    x, text = torch.randn(1, 4, 8, 8, generator=generator), torch.randn(1, 7, 16, generator=generator)
    return unet(x, torch.tensor([500]), text).sample


whole, remains = run(adapt(small_unet())), run(adapt(small_unet(), only=("attn2.to_q", "to_out")))
before = adapt(small_unet())
before.fuse_qkv_projections()
after = small_unet()
after.fuse_qkv_projections()
adapt(after)
outputs = {"adapter, then fused": run(before), "fused, then adapter": run(after)}
before.unfuse_qkv_projections()
print(f"diffusers {diffusers.__version__}, peft {peft.__version__}; relative distance from the whole adapter's output, and")
print("from that of its matrices for to_out and cross-attention's to_q alone")
for order, output in outputs.items():
    distances = [float((output - other).norm() / other.norm()) for other in (whole, remains)]
    print(f"{order}: {distances[0]:.3f}, {distances[1]:.3f}")
    assert distances[0] > 0.1
    assert distances[1] < 1e-4
assert torch.allclose(run(before), whole, atol=1e-4)
print("as described")
END
