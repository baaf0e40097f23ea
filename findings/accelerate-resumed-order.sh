#!/usr/bin/env bash
# accelerate 1.15.0: a training that goes on in the middle of an epoch, by load_state and skip_first_batches as its guide
# shows, sees the rest of another order: some images twice in that epoch, as many never.
#
# load_state sets the random generators to where they stood when the state was saved, which is behind the draw of that
# epoch's order. The loader then draws the next order, and skip_first_batches skips the first batches of that one. With
# `DataLoaderConfiguration(use_seedable_sampler=True)`, which is not the default, the order is that of the epoch.
#
# Seen: of 20 images in an epoch that was interrupted behind the 8th, four twice and four never; with the seedable sampler
# the rest is what it would have been.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
packages=(accelerate==1.15.0 torch==2.13.0 numpy==2.4.6)
if command -v uv > /dev/null; then
    uv venv --quiet "$folder/venv"
    uv pip install --quiet --python "$folder/venv/bin/python" "${packages[@]}"
else
    python3 -m venv "$folder/venv"
    "$folder/venv/bin/pip" install --quiet --disable-pip-version-check "${packages[@]}"
fi

cd "$folder"
"$folder/venv/bin/python" -W ignore - << 'END'
import accelerate
import torch
from accelerate import Accelerator
from accelerate.utils import DataLoaderConfiguration, set_seed
from torch.utils.data import DataLoader, TensorDataset


def start(seedable):
    set_seed(0)
    accelerator = Accelerator(cpu=True, dataloader_config=DataLoaderConfiguration(use_seedable_sampler=seedable))
    loader = DataLoader(TensorDataset(torch.arange(20)), batch_size=2, shuffle=True)
    model = torch.nn.Linear(1, 1)
    return accelerator, *accelerator.prepare(loader, model, torch.optim.AdamW(model.parameters()))[:1]


def seen_in_second_epoch(seedable):
    """Return the images of epoch 1 without an interruption, and with one behind its fourth batch."""
    accelerator, loader = start(seedable)
    for epoch in range(2):
        loader.set_epoch(epoch)
        whole = []
        for step, (images,) in enumerate(loader, start=1):
            whole += images.tolist()
            if (epoch, step) == (1, 4):
                accelerator.save_state(f"state-{seedable}")
    accelerator, loader = start(seedable)
    accelerator.load_state(f"state-{seedable}")
    loader.set_epoch(1)
    rest = [image for (images,) in accelerator.skip_first_batches(loader, 4) for image in images.tolist()]
    return whole, whole[:8] + rest


print(f"accelerate {accelerate.__version__}, torch {torch.__version__}")
for seedable in (False, True):
    whole, resumed = seen_in_second_epoch(seedable)
    twice = sorted(image for image in set(resumed) if resumed.count(image) > 1)
    never = sorted(set(range(20)) - set(resumed))
    print(f"use_seedable_sampler={seedable}: twice {twice}, never {never}")
    assert sorted(whole) == list(range(20)) and len(resumed) == 20
    assert (resumed == whole) is seedable and bool(twice) is not seedable and len(twice) == len(never)
print("as described")
END
