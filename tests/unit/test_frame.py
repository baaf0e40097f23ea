"""The project's pins agree wherever they are written: pyproject.toml, requirements.lock, envs/*.yaml."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
ENVS = sorted((ROOT / "envs").glob("*.yaml"))
# They drive the workflow and are never imported by a rule's script.
DRIVERS = {"click", "snakemake", "snakemake-executor-plugin-slurm"}


def lock_entries() -> list[str]:
    """Return the lock's requirements, continuation lines joined, without comments."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / "requirements.lock").read_text(), flags=re.MULTILINE)
    return [" ".join(entry.split()) for entry in text.replace("\\\n", " ").splitlines() if entry.strip()]


def pins(requirements: list[str]) -> dict[str, str]:
    """Map canonical names to exact versions; anything but one `==` is an error."""
    found = {}
    for text in requirements:
        requirement = Requirement(text)
        (specifier,) = requirement.specifier
        assert specifier.operator == "==", f"{text}: not an exact pin"
        assert not specifier.version.endswith("*"), f"{text}: not an exact pin"
        found[canonicalize_name(requirement.name)] = specifier.version
    return found


@pytest.fixture(scope="module")
def lock() -> dict[str, str]:
    return pins([entry.split(" --hash")[0] for entry in lock_entries()])


@pytest.fixture(scope="module")
def pyproject() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def env_pins(env: Path) -> dict[str, str]:
    dependencies = yaml.safe_load(env.read_text())["dependencies"]
    (pip,) = [entry["pip"] for entry in dependencies if isinstance(entry, dict)]
    return pins(pip)


def test_every_lock_entry_has_a_hash_and_no_index_is_named():
    entries = lock_entries()
    assert entries
    for entry in entries:
        assert re.fullmatch(r"[\w.-]+==\S+( ; [^-]+)?( --hash=sha256:[0-9a-f]{64})+", entry), entry[:80]
    # a comment may not name one either
    assert not re.search(r"https?://|--(extra-)?index|--find-links", (ROOT / "requirements.lock").read_text())


def test_the_lock_satisfies_every_requirement_of_pyproject(lock, pyproject):
    requirements = pyproject["project"]["dependencies"] + pyproject["dependency-groups"]["dev"]
    for requirement in map(Requirement, requirements):
        version = lock.get(canonicalize_name(requirement.name))
        assert version, f"{requirement.name} is in pyproject.toml but not in requirements.lock"
        assert requirement.specifier.contains(version, prereleases=True), f"{requirement}: locked at {version}"


@pytest.mark.parametrize("env", ENVS, ids=lambda env: env.stem)
def test_the_pins_of_an_environment_are_those_of_the_lock(env, lock):
    for name, version in env_pins(env).items():
        assert version == lock.get(name), f"{env.name}: {name}=={version}, requirements.lock has {lock.get(name)}"


@pytest.mark.parametrize("env", ENVS, ids=lambda env: env.stem)
def test_an_environment_runs_the_python_the_lock_is_for(env, pyproject):
    (python,) = [text for text in yaml.safe_load(env.read_text())["dependencies"] if str(text).startswith("python=")]
    version = python.removeprefix("python=")
    assert Requirement(f"python{pyproject['project']['requires-python']}").specifier.contains(version)


def test_make_and_ci_use_the_pythons_that_the_project_is_for(pyproject):
    needs = pyproject["project"]["requires-python"]
    assert f"PYTHONS := {needs}\n" in (ROOT / "Makefile").read_text()
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    tested = workflow["jobs"]["quick"]["strategy"]["matrix"]["python"]
    fitting = Requirement(f"python{needs}").specifier
    assert tested == [version for version in (f"3.{minor}" for minor in range(30)) if fitting.contains(version)]
    # the lock is resolved for the oldest one
    assert f"--python-version {tested[0]} " in (ROOT / "CONTRIBUTING.md").read_text().replace("\n", " ")


def test_the_environments_hold_direct_dependencies_and_miss_none(pyproject):
    direct = {canonicalize_name(Requirement(text).name) for text in pyproject["project"]["dependencies"]} - DRIVERS
    assert set().union(*map(env_pins, ENVS)) == direct


def test_torch_and_torchvision_are_the_same_pair_everywhere(lock, pyproject):
    declared = pins([text for text in pyproject["project"]["dependencies"] if re.match(r"torch(vision)?==", text)])
    assert set(declared) == {"torch", "torchvision"}
    for place in [lock, *map(env_pins, ENVS)]:
        assert {name: place[name] for name in declared} == declared


def test_uv_and_the_lock_are_all_that_make_installs():
    # An index option in the Makefile would override the mirror that a user has configured.
    makefile = (ROOT / "Makefile").read_text()
    assert re.search(r"^UV_VERSION := \d+\.\d+\.\d+$", makefile, flags=re.MULTILINE)
    assert not re.search(r"--(default-|extra-)?index|--find-links|https?://", makefile)


@pytest.mark.parametrize("recipe", ["Dockerfile", "fairdream.def"])
def test_containers_are_made_of_the_lock_by_the_same_uv(recipe):
    text = (ROOT / "envs" / recipe).read_text()
    version = re.search(r"^UV_VERSION := (\S+)$", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)[1]
    assert re.findall(r"\buv==(\S+)", text) == [version]
    assert "--require-hashes /tmp/requirements.lock" in text
    assert len(re.findall(r"python:3\.11-slim-bookworm", text)) == 1
