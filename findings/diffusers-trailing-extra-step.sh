#!/usr/bin/env bash
# diffusers 0.42.1, timestep_spacing="trailing": for 62 of the numbers of steps from 1 to 1000 (61, 103, 121, ...), the
# schedulers make one timestep more than was asked for, and it is -1.
#
# trailing spacing is np.arange(1000, 0, -1000 / steps).round() - 1. An arange has ceil((stop - start) / step) values, and
# 1000 / (1000 / 61) is 61.00000000000001 in floating point. The last value is then nearly 0, and one less is -1: the
# network is asked about a timestep that there is not, which it takes for one next to 0, while DDIM and DDPM look up
# alphas_cumprod[-1], the noise of timestep 999: the finished image is taken for noise and scaled up 14 times.
#
# Seen: 62 numbers; 62 timesteps for 61 steps, the last -1; of normal data with deviation 1, 60 steps of DDIM draw one of
# 0.98 and 61 steps one of 13.93.
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
"$folder/venv/bin/python" - << 'END'
import diffusers
import torch
from diffusers import DDIMScheduler

scheduler = DDIMScheduler(
    beta_start=0.00085,
    beta_end=0.012,
    beta_schedule="scaled_linear",
    clip_sample=False,
    set_alpha_to_one=False,
    steps_offset=1,
    timestep_spacing="trailing",
)


def timesteps(steps):
    scheduler.set_timesteps(steps)
    return scheduler.timesteps.tolist()


def deviation(steps):
    """Draw with the exact network of normal data with deviation 1: its noise is sqrt(1 - alpha_bar) of what it sees.

    At timestep -1 it says what it does at 0, to whose embedding that of -1 is nearest.
    """
    x = torch.randn(100_000, generator=torch.Generator().manual_seed(0))
    for t in timesteps(steps):
        noise = (1 - scheduler.alphas_cumprod[max(t, 0)]) ** 0.5 * x
        x = scheduler.step(noise, t, x).prev_sample
    return float(x.std())


strange = [steps for steps in range(1, 1001) if len(timesteps(steps)) != steps]
print(f"diffusers {diffusers.__version__}, torch {torch.__version__}")
print(f"{len(strange)} numbers of steps with another number of timesteps: {strange}")
print(f"61 steps: {len(timesteps(61))} timesteps, the last {timesteps(61)[-3:]}")
print(f"deviation of what is drawn: {deviation(60):.2f} with 60 steps, {deviation(61):.2f} with 61")
assert len(strange) == 62
assert strange[:3] == [61, 103, 121]
assert all(len(timesteps(steps)) == steps + 1 and timesteps(steps)[-1] == -1 for steps in strange)
assert 0.95 < deviation(60) < 1.05
assert deviation(61) > 10
print("as described")
END
