"""What each rule's script pays before it works: `python bench/startup.py`.

For every script, in processes of their own, medians of CPU seconds (and wall):

- "script": from the start of Python to the stage's first instruction, as a job without a warm server, or the client of
  one, pays it: Snakemake's preamble, the script's imports and the check of the code against the plan;
- "then": what the modules of the stage import inside their functions, which a fork of the warm server finds loaded;
- the modules over `--least` seconds by ``-X importtime``, each with what it imports itself.

And the start of Snakemake itself, that each cluster job pays once: a parse of the workflow and its exit.
"""

from __future__ import annotations

import argparse
import ast
import os
import re
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

from fairdream.runtime.code_digest import code_files

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src/fairdream"
# what Snakemake 9.27 writes before a script
PREAMBLE = "import pickle; from snakemake import script; from snakemake.logging import logger; "
PREAMBLE += "from snakemake.iocontainers import Snakemake"
CHECK = f"""
from pathlib import Path
from fairdream.runtime import code_digest, run_snapshot, warm_server
script, package, lock = Path({{script!r}}), Path({str(PACKAGE)!r}), Path({str(ROOT / "requirements.lock")!r})
run_snapshot.check_code(code_digest.code_digest(script, package, lock), script, package, lock)
"""


def own_imports(path: Path) -> str:
    """Return the import statements at the head of a script."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return "\n".join(ast.unparse(node) for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom))


def later_imports(script: Path) -> str:
    """Return the import statements inside functions of the modules that a script runs."""
    lines: dict[str, None] = {}
    for file in code_files(script, PACKAGE):
        tree = ast.parse(Path(file).read_text(encoding="utf-8"))
        functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
        for function in functions:
            for node in ast.walk(function):
                if isinstance(node, ast.Import | ast.ImportFrom):
                    lines[ast.unparse(node)] = None
    return "\n".join(lines)


def spend(command: list[str]) -> tuple[float, float, str]:
    """Run a command; return CPU and wall seconds, and its standard error."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    variables = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=variables)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(done.stderr[-2000:])
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu, time.monotonic() - started, done.stderr


def heavy(text: str, least: float) -> list[str]:
    """Return the third-party libraries whose import took longest, by the output of ``-X importtime``."""
    own: dict[str, int] = {}
    for line in text.splitlines():
        if found := re.match(r"import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)", line):
            library = found[2].split(".")[0]
            own[library] = own.get(library, 0) + int(found[1])
    rows = [(own[name] / 1e6, name) for name in own if own[name] / 1e6 >= least]
    return [f"{name} {seconds:.2f}" for seconds, name in sorted(rows, reverse=True)]


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scripts", nargs="*", help="names of scripts; none: all")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--least", type=float, default=0.1, help="seconds from which a library is named")
    arguments = parser.parse_args()
    paths = sorted((ROOT / "workflow/scripts").glob("*.py"))
    paths = [path for path in paths if not arguments.scripts or path.stem in arguments.scripts]
    print("| script | script, CPU s | wall s | then, CPU s | libraries, s |\n|---|---:|---:|---:|---|")
    for path in paths:
        start = f"{PREAMBLE}\n{own_imports(path)}\n{CHECK.format(script=str(path))}"
        first = [spend([sys.executable, "-c", start]) for _ in range(arguments.repeats)]
        whole = f"{own_imports(path)}\n{later_imports(path)}"
        own = [spend([sys.executable, "-c", own_imports(path)])[0] for _ in range(arguments.repeats)]
        later = [spend([sys.executable, "-c", whole])[0] for _ in range(arguments.repeats)]
        libraries = heavy(spend([sys.executable, "-X", "importtime", "-c", whole])[2], arguments.least)
        cpu, wall = (statistics.median(run[place] for run in first) for place in (0, 1))
        then = max(0.0, statistics.median(later) - statistics.median(own))
        print(f"| {path.stem} | {cpu:.2f} | {wall:.2f} | {then:.2f} | {', '.join(libraries)} |", flush=True)
    command = [sys.executable, "-m", "snakemake", "--profile", "profiles/demo", "--list-rules"]
    runs = [spend(command) for _ in range(arguments.repeats)]
    cpu, wall = (statistics.median(run[place] for run in runs) for place in (0, 1))
    print(f"\nSnakemake's own start in a cluster job: {cpu:.2f} s of CPU, {wall:.2f} s")


if __name__ == "__main__":
    main()
