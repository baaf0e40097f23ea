"""CLIP's images a second, decoding and preprocessing included, against its bare forward on ready tensors.

    python bench/clip.py --model ViT-B-32 --images 64

A full-size model with random weights. `score` reads PNGs of 512 x 512 from a shard, as they are generated; `embed`
reads JPEGs of 256 to 500 px. Bare forward, ours, and open_clip's own transform an image at a time ("plain": decode,
preprocess, forward in turn) run alternately in one process. On a machine without a GPU the forward and the decoding
share the cores, so no overlap can hide the CPU time of decoding: its share is printed. "waits" is how long the forward
stood still for want of images, beside what a batch's stacking takes.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from rows import Row, add

from fairdream.config.models import ClipModel
from fairdream.data.images import encode_png, iter_pngs, open_rgb, write_shard
from fairdream.models import clip as module
from fairdream.models.clip import Clip


def pictures(count: int, sides: tuple[int, int]) -> list[Image.Image]:
    """Return smooth images with fine noise, which compress about as photographs do."""
    generator = np.random.default_rng(0)
    images = []
    for _ in range(count):
        width, height = generator.integers(sides[0], sides[1] + 1, 2).tolist()
        small = Image.fromarray(generator.integers(0, 255, (16, 16, 3), np.uint8))
        values = np.asarray(small.resize((width, height), Image.Resampling.BICUBIC), np.float32)
        values = values + generator.normal(0, 6, values.shape)
        images.append(Image.fromarray(values.clip(0, 255).astype(np.uint8)))
    return images


def timed(function) -> tuple[float, float]:
    """Return wall and CPU seconds of a call."""
    wall, used = time.perf_counter(), time.process_time()
    function()
    return time.perf_counter() - wall, time.process_time() - used


def main() -> None:
    """Run the sides in turns and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="ViT-B-32")
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    model = Clip(ClipModel(name=options.model, pretrained=None), "")
    waited = [0.0]
    islice = module.islice

    def waiting(*arguments):  # the one place where the forward's thread takes images
        started = time.perf_counter()
        batch = list(islice(*arguments))
        waited[0] += time.perf_counter() - started
        return batch

    module.islice = waiting
    with tempfile.TemporaryDirectory() as folder:
        for stage, sides in (("score", (512, 512)), ("embed", (256, 500))):
            images = pictures(options.images, sides)
            if stage == "score":
                shard = Path(folder, "shard.parquet")
                write_shard(shard, [{"id": str(n), "image": encode_png(image)} for n, image in enumerate(images)], {})

                def sources(shard=shard):
                    return (png for _, png in iter_pngs(shard))
            else:
                for number, image in enumerate(images):
                    image.save(f"{folder}/{number}.jpg", quality=90)
                paths = [Path(folder, f"{number}.jpg") for number in range(options.images)]

                def sources(paths=paths):
                    return paths

            ready = torch.stack([model.preprocess(open_rgb(source)) for source in sources()])

            def bare(ready=ready):
                with torch.inference_mode():
                    for part in ready.split(options.batch):
                        model.model.encode_image(part, normalize=True)

            def plain(sources=sources):
                with torch.inference_mode():
                    batch = []
                    for number, source in enumerate(sources(), 1):
                        batch.append(model.preprocess(open_rgb(source)))
                        if len(batch) == options.batch or number == options.images:
                            model.model.encode_image(torch.stack(batch), normalize=True)
                            batch = []

            def ours(sources=sources):
                model.embed_images(open_rgb, sources(), options.images, options.batch)

            def decoding(sources=sources):
                for source in sources():
                    np.asarray(model.resize(open_rgb(source)))

            found: dict[str, list[tuple[float, float]]] = {"bare": [], "ours": [], "plain": [], "decoding": []}
            waits = []
            for function in (bare, decoding):  # once to warm up
                function()
            for _ in range(options.rounds):
                for function in (bare, ours, plain, decoding):
                    waited[0] = 0.0
                    found[function.__name__].append(timed(function))
                    if function is ours:
                        waits.append(waited[0])
            print(f"{stage}: {options.model}, {options.images} images of {sides} px, ", end="")
            print(f"{options.threads} threads, {options.rounds} rounds; median (least, most)")
            for name, times in found.items():
                each = [[1000 * value / options.images for value in column] for column in zip(*times, strict=True)]
                text = (f"{statistics.median(v):7.2f} ({min(v):.2f}, {max(v):.2f})" for v in each)
                print(f"  {name:9}", " ms wall an image,".join(text), "ms CPU an image")
            for name in ("ours", "plain"):
                for number, kind in enumerate(("wall", "CPU")):
                    of = [b[number] / o[number] for b, o in zip(found["bare"], found[name], strict=True)]
                    middle = 100 * statistics.median(of)
                    print(f"  {name} at {middle:.1f} % of bare by {kind} ({min(of):.2f}, {max(of):.2f})")
            speed = {name: options.images / statistics.median(w for w, _ in own) for name, own in found.items()}
            own = (speed["ours"], speed["plain"], "open_clip's transform in turn", speed["bare"], "bare forward")
            add(Row(f"{stage}, {options.model}", "images a second", *own, goal="85 % of limit"))
            share = [d[1] / (d[1] + b[1]) for d, b in zip(found["decoding"], found["bare"], strict=True)]
            print(f"  decoding is {100 * statistics.median(share):.1f} % of the CPU time of both")
            part = [wait / wall for wait, (wall, _) in zip(waits, found["ours"], strict=True)]
            print(f"  waits for images: {100 * statistics.median(part):.1f} % of ours' wall time", flush=True)


if __name__ == "__main__":
    main()
