#!/usr/bin/env bash
# open_clip_torch 3.3.0: a model of a local folder whose weights are missing is made with random weights, without an error.
#
# `local-dir:FOLDER` reads FOLDER/open_clip_config.json and looks for weights beside it. Where there are none, as after a
# copy that was cut off, the model is built all the same: embeddings, similarities and scores come out, and mean nothing.
# A line in the log says so, if logging is on.
#
# Seen: two calls give two models with different weights, and both give embeddings of unit length.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
packages=(open_clip_torch==3.3.0 torch==2.13.0 torchvision==0.28.0)
if command -v uv > /dev/null; then
    uv venv --quiet "$folder/venv"
    uv pip install --quiet --python "$folder/venv/bin/python" "${packages[@]}"
else
    python3 -m venv "$folder/venv"
    "$folder/venv/bin/pip" install --quiet --disable-pip-version-check "${packages[@]}"
fi

cd "$folder"
mkdir clip
cat > clip/open_clip_config.json << 'END'
{
  "model_cfg": {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "patch_size": 8},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 4, "layers": 2}
  },
  "preprocess_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}
}
END
"$folder/venv/bin/python" - << 'END'
import open_clip
import torch

models = [open_clip.create_model_and_transforms("local-dir:clip")[0].eval() for _ in range(2)]
image = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
with torch.no_grad():
    one, other = (model.encode_image(image, normalize=True) for model in models)
print(f"open_clip {open_clip.__version__}: no error; cosine of the two models' embeddings {float((one * other).sum()):.3f}")
assert torch.allclose(one.norm(), torch.ones(()), atol=1e-5)
assert float((one * other).sum()) < 0.99
print("as described")
END
