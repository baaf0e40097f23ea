"""Time and peak memory of the data stages, CLIP and stage 1 against the number of images.

    python bench/memory.py 50000 100000 200000

For each count it makes that many 64-pixel JPEGs (a thousand pictures, each file with a content hash of its own) and
runs each stage in a process of its own. `select` gets synthetic shards with embeddings of ViT-L/14's width. "nothing"
is a process that imports what all stages do. Prints seconds, CPU seconds and the peak resident memory of each process,
and the exponent e of CPU time ~ count^e between the least and the largest count, less the time of "nothing".
"""

import argparse
import io
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from rows import Row, add

ROOT = Path(__file__).parents[1]
DIFFERENT = 1000
WIDTH = 768  # ViT-L/14's embeddings
SHARD = 1000
STAGES = ("nothing", "manifest", "index", "split", "embed", "subjects", "select", "stage1")
GROUPS = ("a-x", "a-y", "b-x", "b-y")


def make_data(folder: Path, count: int) -> None:
    """Write images and their table."""
    images = folder / "data/images"
    images.mkdir(parents=True)
    generator = np.random.default_rng(0)
    bytes_of = []
    for _ in range(DIFFERENT):
        buffer = io.BytesIO()
        small = generator.integers(0, 255, (8, 8, 3), np.uint8)
        Image.fromarray(small).resize((64, 64), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=90)
        bytes_of.append(buffer.getvalue())
    for number in range(count + 1):  # the last one is for the test
        # what follows a JPEG's end is read by no decoder: every file has a content of its own, as `embed` checks
        (images / f"{number:06d}.jpg").write_bytes(bytes_of[number % DIFFERENT] + number.to_bytes(4, "big"))
    number = np.arange(count + 1)
    table = {"path": [f"{n:06d}.jpg" for n in number], "label": number % 2, "attribute": number // 2 % 2}
    split = np.where(number < count, "train", "test")
    pd.DataFrame({**table, "split": split}).to_csv(folder / "data/metadata.csv", index=False)


def make_scores(folder: Path, count: int) -> None:
    """Write score shards and centroids."""
    from safetensors.numpy import save_file

    generator = np.random.default_rng(0)
    for number, start in enumerate(range(0, count, SHARD)):
        group = GROUPS[number % len(GROUPS)]
        size = min(SHARD, count - start)
        values = generator.standard_normal((size, WIDTH), np.float32)
        table = {
            "id": [f"{group}/base/{start + n:06d}" for n in range(size)],
            "clip_label": generator.uniform(0.2, 0.3, size),
            "embedding": pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), WIDTH),
        }
        pq.write_table(pa.table(table), folder / f"scores-{number:05d}.parquet")
    save_file({group: np.full(WIDTH, 0.01, np.float32) for group in GROUPS}, folder / "centroids.safetensors")


def run(stage: str, folder: Path, count: int) -> None:
    """Run one stage in this process."""
    import torch

    torch.set_num_threads(1)
    from fairdream.classification.pretrain import PretrainJob, pretrain
    from fairdream.config.datasets import Source
    from fairdream.config.models import ClipModel, EncoderModel
    from fairdream.curation.select import SelectJob, select
    from fairdream.data.embed import embed
    from fairdream.data.index import index
    from fairdream.data.manifest import write_manifest
    from fairdream.data.split import split
    from fairdream.diffusion.subjects import subjects

    sizes = np.bincount(np.arange(count) % 2 * 2 + np.arange(count) // 2 % 2, minlength=4)
    keep = dict(zip(GROUPS, map(int, sizes), strict=True))
    if stage in ("manifest", "index"):
        source = Source(
            folder=str(folder / "data"),
            images="images",
            tables=[
                {"file": "metadata.csv", "path": "path", "label": "label", "attribute": "attribute", "split": "split"}
            ],
            label_values={"a": 0, "b": 1},
            attribute_values={"x": 0, "y": 1},
            split_values={"train": "train", "test": "test"},
            train_counts=keep,
        )
    if stage == "nothing":
        return
    at = {name: str(folder / name) for name in ("manifest.parquet", "index.parquet", "split.parquet")}
    if stage == "manifest":
        write_manifest(at["manifest.parquet"], source)
    elif stage == "index":
        index(at["manifest.parquet"], at["index.parquet"], source)
    elif stage == "split":
        split(at["index.parquet"], None, at["split.parquet"], keep, "images", 0)
    elif stage == "embed":
        config = ClipModel(name=f"local-dir:{ROOT / 'resources/tiny-clip'}", pretrained=None)
        manifest = folder / "clip.json"
        manifest.write_text(json.dumps({"path": "", "files": {}}))
        embed(at["index.parquet"], str(manifest), str(folder / "e.safetensors"), str(folder / "store"), config, 64)
    elif stage == "subjects":
        out = str(folder / "subjects/index.json")
        subjects(at["split.parquet"], str(folder / "e.safetensors"), out, list(GROUPS), 20, None, 4, 1, 0)
    elif stage == "select":
        scores = [str(path) for path in sorted(folder.glob("scores-*.parquet"))]
        config = SelectJob(alpha=dict.fromkeys(GROUPS, 0.5), fraction=0.75)
        select(scores, scores, str(folder / "centroids.safetensors"), str(folder / "selected.parquet"), config)
    else:
        (folder / "encoder.json").write_text(json.dumps({"path": "", "files": {}}))
        config = PretrainJob(
            learning_rate=1e-3,
            weight_decay=0.0,
            momentum=0.0,
            batch_size=128,
            steps=20,
            beta=1.0,
            temperature=1.0,
            image_size=64,
            crop_scale=0.7,
            flip=True,
            encoder=EncoderModel(name="small_cnn"),
            labels=["a", "b"],
            batches="group",
            checkpoints=[],
            gdro=None,
            jtt=None,
        )
        encoder = str(folder / "encoder.json")
        pretrain(None, at["split.parquet"], encoder, str(folder / "s.safetensors"), 0, "code", config)


def measure(stage: str, folder: Path, count: int) -> tuple[float, float, float]:
    """Run a stage in its own process; return wall seconds, CPU seconds and peak GB."""
    started = time.monotonic()
    command = [sys.executable, __file__, str(count), "--stage", stage, "--folder", str(folder)]
    # stage 1's scratch file stands on the disk and not in a memory-backed /tmp
    process = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": str(folder)})
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{stage} failed")
    return time.monotonic() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1e6


def main() -> None:
    """Measure every stage at every count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("counts", type=int, nargs="+")
    parser.add_argument("--stage", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--scratch", help="where the images go (a disk)")
    parser.add_argument("--stages", default=",".join(STAGES), help="some of them, with commas")
    options = parser.parse_args()
    if options.stage:
        run(options.stage, options.folder, options.counts[0])
        return
    found: dict[str, list[tuple[float, float, float]]] = {}
    for count in options.counts:
        with tempfile.TemporaryDirectory(dir=options.scratch) as name:
            folder = Path(name)
            make_data(folder, count)
            make_scores(folder, count)
            for stage in options.stages.split(","):
                found.setdefault(stage, []).append(measure(stage, folder, count))
                wall, cpu, peak = found[stage][-1]
                print(f"{stage:9} {count:7} {wall:8.1f} s {cpu:8.1f} CPU s {peak:6.2f} GB", flush=True)
                if stage != "nothing":
                    what = f"{stage} of {count:,} images of 64 px, peak memory"
                    add(Row(what, "GB", peak, limit=3.0, limit_name="allowed", cost=True))
    if len(options.counts) > 1:
        least, most = options.counts[0], options.counts[-1]
        start = min(row[1] for row in found.pop("nothing", [(0.0, 0.0, 0.0)]))
        for stage, rows in found.items():
            first, last = (max(row[1] - start, 0.1) for row in (rows[0], rows[-1]))
            exponent = math.log(last / first) / math.log(most / least)
            print(f"{stage:9} CPU time grows as count^{exponent:.2f}; peak {max(row[2] for row in rows):.2f} GB")


if __name__ == "__main__":
    main()
