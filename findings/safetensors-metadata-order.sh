#!/usr/bin/env bash
# safetensors 0.8.0: saving the same tensors with the same metadata twice gives two different files.
#
# The header's metadata is a hash map with a random seed of its own, and its keys are written in the order in which the
# map gives them; tensors are sorted. So a digest of the file says nothing about its content: whoever caches by it, or asks
# whether a training repeats to the byte, finds a new file each time.
#
# Seen: 20 saves of one tensor with six keys of metadata gave 18 different files; loaded, all are equal.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
packages=(safetensors==0.8.0 numpy==2.4.6)
if command -v uv > /dev/null; then
    uv venv --quiet "$folder/venv"
    uv pip install --quiet --python "$folder/venv/bin/python" "${packages[@]}"
else
    python3 -m venv "$folder/venv"
    "$folder/venv/bin/pip" install --quiet --disable-pip-version-check "${packages[@]}"
fi

cd "$folder"
"$folder/venv/bin/python" - << 'END'
import hashlib
from pathlib import Path

import numpy as np
import safetensors
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

tensors = {"weight": np.arange(12, dtype=np.float32).reshape(3, 4)}
metadata = {key: key.upper() for key in ("format", "rank", "alpha", "prompt", "seed", "images")}
digests, contents = set(), set()
for _ in range(20):
    save_file(tensors, "a.safetensors", metadata=metadata)
    digests.add(hashlib.sha256(Path("a.safetensors").read_bytes()).hexdigest())
    with safe_open("a.safetensors", "numpy") as file:
        contents.add((load_file("a.safetensors")["weight"].tobytes(), tuple(sorted(file.metadata().items()))))
print(f"safetensors {safetensors.__version__}: {len(digests)} different files of 20 saves, {len(contents)} content")
assert len(digests) > 10
assert len(contents) == 1
print("as described")
END
