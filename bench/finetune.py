"""Adapters an hour, beside diffusers' own script: `python bench/finetune.py path/to/train_dreambooth_lora.py`.

Twelve subjects of waterdigits, the embedded base model, one thread: FairDream's job with a pool of twelve and with one,
the script once for one subject (another subject is another run of it), and, as the limit, the bare frozen UNet forwards
and backwards at the same batch. Every run is a process of its own, they take turns, and start-up and training are told
apart. Both sides have the same images, steps, rank, rate, resolution, batch size and target layers.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from rows import Row, add

ROOT = Path(__file__).resolve().parents[1]
MODEL = ROOT / "resources/tiny-sd"
TARGETS = ["to_k", "to_q", "to_v", "to_out.0"]
RATE, RANK, RESOLUTION, PROMPT = 1e-4, 4, 32, "photo of a sks digit"


def write_subjects(folder: Path, number: int, images: int) -> list[str]:
    """Write waterdigits, and member files and image folders of some subjects; return their names."""
    import pandas as pd

    from fairdream.demo.waterdigits import write_waterdigits
    from fairdream.identity import file_digest
    from fairdream.models.fetch_model import fetch_model

    write_waterdigits(folder / "digits")
    fetch_model(str(folder / "model.json"), "diffusion", {"id": str(MODEL), "revision": None})
    table = pd.read_csv(folder / "digits/metadata.csv")
    paths = [folder / "digits" / name for name in table.iloc[:, 0]]
    paths = [path for path in paths if path.is_file()][: number * images]
    names = [f"digits-c{place:02d}" for place in range(number)]
    for place, name in enumerate(names):
        own = paths[place::number]
        (folder / name).mkdir()
        for path in own:
            (folder / name / path.name).symlink_to(path)
        listed = [{"id": path.name, "path": str(path), "sha256": file_digest(path)} for path in own]
        (folder / f"{name}.json").write_text(json.dumps({"subject": name, "group": "digits", "images": listed}))
    return names


def ours(folder: Path, names: list[str], steps: int) -> None:
    """Run one job that trains its mates too, in this process; print the training's own seconds."""
    from fairdream.diffusion import finetune as stage

    values = {
        "rank": RANK,
        "alpha": float(RANK),
        "target_modules": TARGETS,
        "resolution": RESOLUTION,
        "learning_rate": RATE,
        "weight_decay": 0.01,
        "warmup_steps": 0,
        "max_grad_norm": 1.0,
        "batch_size": 1,
        "steps": steps,
        "prompt": PROMPT,
        "token": "sks",
        "seed": 0,
    }
    train = stage.train

    def timed(base, lessons, config, finish, *rest):
        saving = [0.0, 0.0]

        def timed_finish(*arguments):
            wall, used = time.monotonic(), time.process_time()
            finish(*arguments)
            saving[0] += time.monotonic() - wall
            saving[1] += time.process_time() - used

        wall, used = time.monotonic(), time.process_time()
        train(base, lessons, config, timed_finish, *rest)
        wall, used = time.monotonic() - wall, time.process_time() - used
        # to write adapters is the end, as it is for the script
        print("TRAINED", wall - saving[0], used - saving[1], flush=True)

    stage.train = timed
    with tempfile.TemporaryDirectory(dir=folder) as out:
        stage.finetune(
            str(folder / f"{names[0]}.json"),
            str(folder / "model.json"),
            f"{out}/adapters/{names[0]}/w.safetensors",
            f"{out}/adapters/{names[0]}/history.csv",
            f"{out}/store",
            "bench",
            stage.FinetuneJob(**values),
            dict.fromkeys(names, values),
            len(names),
        )
        found = len(list(Path(out, "store/adapters").glob("*/*.safetensors")))
    assert found == len(names), f"{found} adapters instead of {len(names)}"


def bare(batch: int, steps: int) -> None:
    """Run the frozen UNet alone forwards and backwards in this process; print the seconds."""
    import torch

    from fairdream.diffusion.latents import load_base

    unet = load_base(str(MODEL)).unet.requires_grad_(False)
    size = unet.config.sample_size
    noisy = torch.randn(batch, 4, size, size, requires_grad=True)
    timesteps = torch.randint(0, 1000, (batch,))
    text = torch.randn(batch, 32, unet.config.cross_attention_dim)
    for step in range(steps + 5):
        if step == 5:
            wall, used = time.monotonic(), time.process_time()
        unet(noisy, timesteps, text).sample.square().mean().backward()
    print("TRAINED", time.monotonic() - wall, time.process_time() - used, flush=True)


def measure(command: list[str], environment: dict[str, str]) -> dict[str, float]:
    """Run a command; return its wall and CPU seconds, and of those the training's."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    wall = time.monotonic()
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1
    )
    lines, begin, end = [], None, None
    for line in process.stdout:  # a progress bar's carriage returns are line ends here
        lines.append(line)
        if "Running training" in line:
            begin = time.monotonic()
        if "Steps: 100%" in line:
            end = end or time.monotonic()
        if line.startswith("TRAINED"):
            begin, end = 0.0, float(line.split()[1])
    if process.wait() or begin is None or end is None:
        sys.exit(f"{' '.join(command)}\n{''.join(lines)[-3000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    own = [float(line.split()[2]) for line in lines if line.startswith("TRAINED")]
    # the script does not tell the CPU seconds of its training: its share of the wall time
    took = time.monotonic() - wall
    return {
        "wall": took,
        "cpu": used,
        "train": end - begin,
        "train_cpu": own[0] if own else used * (end - begin) / took,
    }


def main() -> None:
    """Measure and print, or be one of the measured processes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("peer", type=Path, nargs="?", help="diffusers' examples/dreambooth/train_dreambooth_lora.py")
    parser.add_argument("--subjects", type=int, default=12)
    parser.add_argument("--images", type=int, default=20, help="of each subject")
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        what, folder, count = options.child
        if what == "bare":
            bare(int(count), options.steps)
        else:
            names = [f"digits-c{place:02d}" for place in range(int(count))]
            ours(Path(folder), names, options.steps)
        return
    if options.peer is None:
        parser.error("give the path of train_dreambooth_lora.py")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "src")}
    n = options.subjects
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_subjects(folder, n, options.images)

        def child(what: str, count: int, steps: int) -> list[str]:
            return [sys.executable, __file__, "--child", what, name, str(count), "--steps", str(steps)]

        peer = [
            *(sys.executable, str(options.peer)),
            *("--pretrained_model_name_or_path", str(MODEL)),
            *("--instance_data_dir", str(folder / "digits-c00")),
            *("--instance_prompt", PROMPT, "--output_dir", str(folder / "peer"), "--resolution", str(RESOLUTION)),
            *("--train_batch_size", "1", "--gradient_accumulation_steps", "1", "--learning_rate", str(RATE)),
            *("--rank", str(RANK), "--lr_scheduler", "constant", "--lr_warmup_steps", "0", "--seed", "0"),
            *("--max_train_steps", str(options.steps), "--checkpointing_steps", "100000", "--report_to", "all"),
        ]
        commands = {
            "peer": peer,
            "pool": child("ours", n, options.steps),
            "one": child("ours", 1, options.steps),
            "bare pool": child("bare", n, 60),
            "bare one": child("bare", 1, 60),
        }
        found: dict[str, list[dict[str, float]]] = {key: [] for key in commands}
        for number in range(options.runs):
            for key, command in commands.items():
                found[key].append(measure(command, environment))
                print(f"run {number + 1}, {key}: {found[key][-1]}", file=sys.stderr, flush=True)
    tell(found, n, options.steps)


def tell(found: dict[str, list[dict[str, float]]], n: int, steps: int) -> None:
    """Print the table: medians, by wall clock and by CPU time."""
    middle = {key: {what: median(run[what] for run in runs) for what in runs[0]} for key, runs in found.items()}
    rows = {
        f"FairDream, pool of {n}": ("pool", n),
        "FairDream, one": ("one", 1),
        "train_dreambooth_lora.py": ("peer", 1),
    }
    print("| | adapters an hour | the script's times | in CPU time | start-up and end, s | steps a second | times |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for title, (key, count) in rows.items():
        own, peer = middle[key], middle["peer"]
        print(
            f"| {title} | {3600 * count / own['wall']:.0f} | {count * peer['wall'] / own['wall']:.2f}"
            f" | {count * peer['cpu'] / own['cpu']:.2f} | {own['wall'] - own['train']:.0f}"
            f" | {count * steps / own['train']:.1f} | {count * peer['train'] / own['train']:.2f} |"
        )
    for title, key in ((f"pool of {n}", "pool"), ("one", "one")):
        limit, own = middle[f"bare {key}"], middle[key]
        share = (limit["train_cpu"] / 60) / (own["train_cpu"] / steps)
        print(f"The bare UNet's share of a step of the {title} (CPU time): {share:.0%}")
    pool, one, peer = middle["pool"], middle["one"], middle["peer"]
    # as long as the bare step takes, and no start-up
    bare = 3600 * n / (steps * middle["bare pool"]["train"] / 60)
    name, limit = "train_dreambooth_lora.py", "bare UNet, forwards and backwards"
    add(
        Row(
            f"{n} adapters of {steps} steps, in a pool",
            "adapters an hour",
            3600 * n / pool["wall"],
            3600 / peer["wall"],
            name,
            bare,
            f"{limit}, no start-up",
            goal="5 times",
        ),
        Row(
            "training of one adapter",
            "steps a second",
            steps / one["train"],
            steps / peer["train"],
            name,
            60 / middle["bare one"]["train"],
            limit,
            goal="1.5 times",
        ),
    )


if __name__ == "__main__":
    main()
