"""Each command in the documents works: cheap ones are run, costly ones planned by a dry run in a copy of the project.

Every command of every `sh` or `bash` block belongs to exactly one class below; a new kind of command needs one.
"""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, copy_project
from processes import run
from smallest import keep_one
from snakemake.cli import parse_args

PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "config/README.md"]
HERE = Path(sys.executable).parent


def commands() -> list[str]:
    """Return the different commands of all pages, without comments, with continued lines joined."""
    found: dict[str, None] = {}
    for page in PAGES:
        for block in re.findall(r"^```(?:sh|bash|console)\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S):
            for line in block.replace("\\\n", " ").splitlines():
                words = re.sub(r"(^|\s)#.*", "", line).strip()
                if words:
                    found[" ".join(words.split())] = None
    return list(found)


# class -> how its commands begin
CLASSES = {
    "run": r"make help$|snakemake .*--unlock$",
    "make": r"make(?! help$)",
    "snakemake": r"snakemake (?!.*--unlock$)",
    "fairdream": r"fairdream ",
    "in the environment": r"\. \.venv/bin/activate$|\.venv/bin/",
    # what needs another machine's tools: only its words and files are checked
    "elsewhere": r"(docker|apptainer|git) ",
}
COMMANDS = commands()


def of(*classes: str):
    chosen = [command for command in COMMANDS if any(re.match(CLASSES[name], command) for name in classes)]
    return pytest.mark.parametrize("command", chosen)


def shell(command: str, folder: Path, timeout: float = 120) -> subprocess.CompletedProcess:
    variables = {key: value for key, value in os.environ.items() if not key.startswith(("SNAKEMAKE", "FAIRDREAM"))}
    variables |= {"PYTHONPATH": str(folder / "src"), "PATH": f"{HERE}{os.pathsep}{os.environ['PATH']}"}
    return run("bash", "-c", command, cwd=folder, env=variables, timeout=timeout)


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    """The project with part of the paper's configuration; of the data set only the table is there, and empty."""
    folder = copy_project(tmp_path_factory.mktemp("documents") / "clone", ROOT / "config.yaml")
    config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    # fewer jobs to plan: what is tried are the commands
    keep_one(config, "waterbirds")
    config |= {"methods": ["erm", "lora"], "seeds": [0]}
    (folder / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    for dataset in config["datasets"].values():
        for table in dataset["tables"]:
            path = folder / dataset["folder"] / table["file"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
            (path.parent / dataset.get("images", "")).mkdir(parents=True, exist_ok=True)
    # what `fairdream new-dataset birds` would write
    (folder / "config/birds.yaml").write_text((folder / "config/demo.yaml").read_text(encoding="utf-8"))
    return folder


def test_every_command_has_its_class():
    assert len(COMMANDS) > 15
    for command in COMMANDS:
        assert sum(bool(re.match(start, command)) for start in CLASSES.values()) == 1, command


@of("run")
def test_cheap_commands_run(command, clone):
    done = shell(command, ROOT if command.startswith("make") else clone)
    assert done.returncode == 0, done.stdout
    assert "the whole pipeline on the embedded data" in done.stdout or "Unlocked working directory" in done.stdout


@of("make")
def test_make_knows_its_targets_and_variables(command):
    done = shell(f"{command} --dry-run", ROOT)
    assert done.returncode == 0, done.stdout
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for word in shlex.split(command)[1:]:
        name = word.partition("=")[0]
        known = rf"^{name}( \?=|:)|^NEW_DATASET =.*\b{name}\b|\(origin {name}\)"
        assert re.search(known, makefile, re.M), f"{command}: {name}"


@of("snakemake")
def test_snakemake_plans_what_the_command_asks_for(command, clone):
    done = shell(command if command.endswith(" -n") else f"{command} --dry-run", clone)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "total" in done.stdout
    assert "This was a dry-run" in done.stdout


@of("fairdream")
def test_fairdream_knows_its_commands_options_and_runs(command, clone):
    name, *words = shlex.split(command)[1:]
    if name.startswith("-"):
        done = shell(command, clone)
        assert done.returncode == 0, done.stdout
        return
    options = [word for word in words if word.startswith("--")]
    done = shell(f"fairdream {name} --help", clone)
    assert done.returncode == 0, done.stdout
    assert all(option in done.stdout for option in options), done.stdout
    if name in ("run", "plan"):
        done = shell(command if name == "plan" else f"{command} -- --dry-run", clone)
        assert done.returncode == 0, done.stdout[-3000:]
        assert "In all: " in done.stdout or "This was a dry-run" in done.stdout


@of("in the environment")
def test_the_environment_has_what_is_called(command):
    assert re.search(r"^VENV := \.venv$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    program = Path(command.split()[1] if command.startswith(". ") else command.split()[0]).name
    assert (HERE / program).exists(), command


@of("elsewhere")
def test_commands_of_other_tools_are_written_well_and_name_files_that_are_there(command):
    assert subprocess.run(["bash", "-n", "-c", command], capture_output=True).returncode == 0
    for name in re.findall(r"envs/\w+(?:\.def)?\b(?!\.sif)", command):
        assert (ROOT / name).exists(), f"{command}: {name}"
    inner = command.partition(" snakemake ")[2]
    if inner:
        _, options = parse_args(shlex.split(inner))
        assert options.targets == ["results/tables/table1.csv"], "an option took the target for one more of its values"


def test_make_hands_a_path_to_no_shell():
    path = "O'Brien's $(touch harm) `touch harm`"
    command = ["make", "-n", "new-dataset", "NAME=birds", f"FOLDER={path.replace('$', '$$')}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert path in shlex.split(done.stdout), done.stdout
