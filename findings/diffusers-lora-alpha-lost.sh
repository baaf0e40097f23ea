#!/usr/bin/env bash
# diffusers 0.42.1, peft 0.21.2: an adapter trained with lora_alpha other than its rank is saved without it, by the call
# that the guides show, and is loaded at another strength without a word: alpha = 2 * rank comes back as half as strong.
#
# The file holds the matrices alone, and the loader takes alpha for the rank. save_lora_weights keeps it, in the header, if
# it is also given unet_lora_adapter_metadata. convert_state_dict_to_kohya, for other programs, writes an alpha that is the
# rank whatever it was, so there it is lost in any case.
#
# Seen: rank 4 and alpha 8. Saved by the guides' call, and in kohya's form, it loads as one with alpha 4; with the metadata
# it is what was trained.
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
from diffusers import StableDiffusionPipeline, UNet2DConditionModel
from diffusers.utils import (
    convert_all_state_dict_to_peft,
    convert_state_dict_to_diffusers,
    convert_state_dict_to_kohya,
)
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from safetensors.torch import load_file

diffusers.utils.logging.set_verbosity_error()
NAME = "pytorch_lora_weights.safetensors"


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

def trained(alpha):
    """Return a UNet with an adapter of rank 4; its matrices are random, as those of a trained one are not 0."""
    unet = small_unet()
    targets = ["to_q", "to_k", "to_v", "to_out.0"]
    unet.add_adapter(LoraConfig(r=4, lora_alpha=alpha, init_lora_weights=False, target_modules=targets))
    return unet


@torch.no_grad()
def run(unet):
    generator = torch.Generator().manual_seed(1)
    x, text = torch.randn(1, 4, 8, 8, generator=generator), torch.randn(1, 7, 16, generator=generator)
    return unet(x, torch.tensor([500]), text).sample


def loaded(folder):
    """Return a UNet with a saved adapter, loaded as load_lora_weights does it."""
    unet = small_unet()
    unet.load_lora_adapter(folder, weight_name=NAME, prefix="unet")
    return unet


unet = trained(8)
layers = convert_state_dict_to_diffusers(get_peft_model_state_dict(unet))
StableDiffusionPipeline.save_lora_weights("plain", unet_lora_layers=layers)
StableDiffusionPipeline.save_lora_weights(
    "told", unet_lora_layers=layers, unet_lora_adapter_metadata=unet.peft_config["default"].to_dict()
)
kohya = convert_state_dict_to_kohya(convert_all_state_dict_to_peft(load_file(f"told/{NAME}")))
alphas = {float(value) for name, value in kohya.items() if name.endswith(".alpha")}
as_trained, weaker = run(unet), run(trained(4))
print(f"diffusers {diffusers.__version__}, peft {peft.__version__}; rank 4, alpha 8")
for folder in ("plain", "told"):
    output = run(loaded(folder))
    distances = [float((output - other).norm() / other.norm()) for other in (as_trained, weaker)]
    print(f"{folder}: relative distance from what was trained {distances[0]:.3f}, from alpha 4 {distances[1]:.3f}")
    assert (distances[0] < 1e-4) is (folder == "told") and (distances[1] < 1e-4) is (folder == "plain")
print(f"kohya's form: alpha {alphas}")
assert alphas == {4.0}
print("as described")
END
