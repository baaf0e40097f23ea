#!/usr/bin/env bash
# torchmetrics 1.9.0, BinaryGroupStatRates and BinaryFairness: a batch in which a group has no image is counted for other
# groups, without an error.
#
# Each update splits the batch by the groups that are in it, and adds the first part to group 0, the second to group 1, and
# so on: by its place among those present, whatever the group's number. A rare group is missing from many batches, and of
# these the next group's images are counted as its own: the worst group of a biased data set looks better than it is. One
# update with all predictions is right, if every group has one.
#
# Seen: 300 images in three groups, of which a classifier has 95, 10 and 90 % right. In one update the metric says so; in
# batches of ten it says 95, 62 and 87 %; where group 1 has no image at all, group 2's counts stand under group 1.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
packages=(torchmetrics==1.9.0 torch==2.13.0 numpy==2.4.6)
if command -v uv > /dev/null; then
    uv venv --quiet "$folder/venv"
    uv pip install --quiet --python "$folder/venv/bin/python" "${packages[@]}"
else
    python3 -m venv "$folder/venv"
    "$folder/venv/bin/pip" install --quiet --disable-pip-version-check "${packages[@]}"
fi

cd "$folder"
"$folder/venv/bin/python" -W ignore - << 'END'
import torch
import torchmetrics
from torchmetrics.classification import BinaryGroupStatRates

ACCURACY = (0.95, 0.1, 0.9)
SIZES = (200, 20, 80)

generator = torch.Generator().manual_seed(0)
groups = torch.cat([torch.full((size,), number) for number, size in enumerate(SIZES)])
right = torch.cat([torch.arange(size) < share * size for share, size in zip(ACCURACY, SIZES, strict=True)])
target = torch.randint(0, 2, (len(groups),), generator=generator)
preds = torch.where(right, target, 1 - target)
order = torch.randperm(len(groups), generator=generator)


def accuracies(rows, batch):
    """Return each group's accuracy: its rates of true positives and true negatives, as shares of the group."""
    metric = BinaryGroupStatRates(num_groups=3)
    for own in rows.split(batch):
        metric.update(preds[own], target[own], groups[own])
    rates = metric.compute()  # group -> tp, fp, tn, fn
    return [round(float(rates[f"group_{number}"][0] + rates[f"group_{number}"][2]), 2) for number in range(3)]


whole, batches = accuracies(order, len(order)), accuracies(order, 10)
without = accuracies(order[groups[order] != 1], len(order))
print(f"torchmetrics {torchmetrics.__version__}: accuracy of groups 0, 1, 2")
print(f"one update:                {whole}")
print(f"batches of 10:             {batches}")
print(f"no image of group 1:       {without}")
assert whole == [0.95, 0.1, 0.9]
assert batches[1] > 0.3
assert without[1] == 0.9 and without[2] != without[2]  # NaN
print("as described")
END
