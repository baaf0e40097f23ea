#!/usr/bin/env bash
# diffusers 0.42.1, timestep_spacing="linspace", as many steps as the model was trained with (1000): the multistep solvers
# DPMSolverMultistep, DEIS and UniPC draw NaN.
#
# Linspace with one point more than steps, rounded, puts two steps on the same timestep. The solver divides by the
# difference of their log signal-to-noise ratios, which is 0.
#
# Seen: a timestep that stands twice, and NaN; with 999 steps the image is finite.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
packages=(diffusers==0.42.1 torch==2.13.0 numpy==2.4.6)
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
import torch
from diffusers import DEISMultistepScheduler, DPMSolverMultistepScheduler, UniPCMultistepScheduler

values = dict(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", timestep_spacing="linspace")


def draw(kind, steps):
    """Draw with the exact network of normal data with deviation 1."""
    scheduler = kind(**values)
    scheduler.set_timesteps(steps)
    x = torch.randn(1, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    for t in scheduler.timesteps:
        noise = (1 - scheduler.alphas_cumprod[int(t)]) ** 0.5 * x
        x = scheduler.step(noise, t, x).prev_sample
    times = scheduler.timesteps.tolist()
    return len(times) - len(set(times)), x


print(f"diffusers {diffusers.__version__}, torch {torch.__version__}")
for kind in (DPMSolverMultistepScheduler, DEISMultistepScheduler, UniPCMultistepScheduler):
    twice, image = draw(kind, 1000)
    print(f"{kind.__name__}: 1000 steps, {twice} timestep(s) twice, {int(image.isnan().sum())} of {image.numel()} NaN")
    assert twice >= 1
    assert image.isnan().any()
    twice, image = draw(kind, 900)
    assert twice == 0
    assert image.isfinite().all()
print("as described")
END
