"""One table of all benchmarks that need no GPU: `python bench/table.py [--peer PATH/train_dreambooth_lora.py]`.

Each benchmark is a process of its own and measures both sides in turns; medians. Figures are by wall clock, which is
what a user waits for, so let nothing else run meanwhile. About an hour and a quarter on two cores; `--only` picks some.
Without the path of diffusers' script, fine-tuning is left out and named as left out.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rows import VARIABLE, Row

HERE = Path(__file__).parent
COMMANDS = {
    "finetune": ["--runs", "5"],
    "generate": ["--rounds", "5"],
    "stage1": ["--images", "256", "--threads", "1", "--rounds", "5"],
    "stage2": ["--images", "256", "--threads", "1", "--rounds", "5"],
    "clip": ["--images", "24", "--batch", "12", "--threads", "1", "--rounds", "5"],
    "memory": ["50000", "200000"],
    "scheduler": ["--jobs", "60", "--repeats", "5"],
    "dag": ["--copies", "1", "10", "--repeats", "5"],
}


def as_number(value: float) -> str:
    """Return three significant digits, nothing for none."""
    return f"{float(f'{value:.3g}'):,g}" if value else ""


def as_table(rows: list[Row]) -> str:
    """Return rows as Markdown."""
    lines = ["| what | unit | ours | peer | ratio | limit | share of the limit | goal |"]
    lines.append("|---|---|---:|---:|---:|---:|---:|---|")
    for row in rows:
        peer = f"{as_number(row.peer)} ({row.peer_name})" if row.peer else ""
        limit = f"{as_number(row.limit)} ({row.limit_name})" if row.limit else ""
        ratio, share = (f"{row.ratio:.2f}" if row.peer else ""), (f"{row.share:.0%}" if row.limit else "")
        cells = [row.what, row.unit, as_number(row.ours), peer, ratio, limit, share, row.goal]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> int:
    """Run the benchmarks and print their rows; the exit status tells whether one failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", help="diffusers' examples/dreambooth/train_dreambooth_lora.py")
    parser.add_argument("--only", nargs="+", choices=list(COMMANDS), default=list(COMMANDS))
    options = parser.parse_args()
    if options.peer and not Path(options.peer).is_file():
        parser.error(f"--peer: there is no file {options.peer}")
    if "finetune" in options.only and not options.peer:
        print("Without --peer (make bench PEER=): fine-tuning is left out.", file=sys.stderr, flush=True)
    left_out = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "rows.jsonl")
        file.touch()
        for name in options.only:
            if name == "finetune" and not options.peer:
                left_out.append("finetune: give the path of diffusers' script with --peer")
                continue
            own = [options.peer] if name == "finetune" else []
            command = [sys.executable, str(HERE / f"{name}.py"), *own, *COMMANDS[name]]
            started = time.monotonic()
            # what a benchmark prints itself tells more than its rows
            done = subprocess.run(command, env={**os.environ, VARIABLE: str(file)}, stdout=sys.stderr)
            print(f"{name}: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
            if done.returncode:
                left_out.append(f"{name}: ended with {done.returncode}")
        rows = [Row(**json.loads(line)) for line in file.read_text(encoding="utf-8").splitlines()]
    print(as_table(rows))
    for line in left_out:
        print(f"\nLeft out: {line}")
    return int(any("ended" in line for line in left_out))


if __name__ == "__main__":
    sys.exit(main())
