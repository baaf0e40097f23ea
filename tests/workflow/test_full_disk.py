"""A file system that is full, or turns read-only, costs the jobs that met it and nothing that stood there before."""

import shutil
import subprocess
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from conftest import SMALLEST, copy_project, needs_models, run_snakemake
from safetensors import safe_open

pytestmark = [needs_models, pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def disk(tmp_path):
    """A file system of its own, of 64 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "fairdream", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"this user cannot mount a file system: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def small_project(folder: Path, results: Path) -> Path:
    """Two adapters and two classifiers, with their results on the other file system."""
    project = copy_project(folder, SMALLEST)
    config = yaml.safe_load((project / "config.yaml").read_text())
    config |= {"results": str(results), "biases": [0.999], "methods": ["erm", "lora"]}
    config["datasets"]["waterdigits"]["folder"] = str(results / "data")
    (project / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    return project


def check_files(results: Path) -> int:
    """Read every file that stands under a final name; return how many there are."""
    files = [path for path in results.rglob("*") if not path.name.startswith(".")]
    tables = [path for path in files if path.suffix == ".parquet"]
    weights = [path for path in files if path.suffix == ".safetensors"]
    for path in tables:
        pq.read_table(path)
    for path in weights:
        with safe_open(path, "np") as content:
            assert [content.get_tensor(key) for key in content.keys()], path  # noqa: SIM118
    return len(tables) + len(weights)


def test_a_full_and_then_a_read_only_disk_end_with_the_same_table(tmp_path, disk):
    table = "tables/table1.csv"
    project, results = small_project(tmp_path / "project", disk / "results"), disk / "results"
    first = run_snakemake(project, "check_data", warm=True, timeout=300)
    assert first.returncode == 0, first.stdout

    ballast = disk / "ballast"
    with open(ballast, "wb") as file:
        file.write(bytes(shutil.disk_usage(disk).free - 1_200_000))
    full = run_snakemake(project, f"{results}/{table}", "--keep-going", warm=True, timeout=300)
    assert full.returncode != 0
    assert "No space left on device" in full.stdout
    assert not (results / table).exists()
    before = check_files(results)

    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    readonly = run_snakemake(project, f"{results}/{table}", "--keep-going", warm=True, timeout=300)
    subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
    assert readonly.returncode != 0
    assert "Read-only file system" in readonly.stdout
    assert check_files(results) == before

    ballast.unlink()
    done = run_snakemake(project, f"{results}/{table}", warm=True, timeout=300)
    assert done.returncode == 0, done.stdout[-4000:]
    assert check_files(results) > before
    other = small_project(tmp_path / "other", tmp_path / "other/results")
    undisturbed = run_snakemake(other, f"{tmp_path}/other/results/{table}", warm=True, timeout=300)
    assert undisturbed.returncode == 0, undisturbed.stdout[-4000:]
    assert (results / table).read_bytes() == (tmp_path / "other/results" / table).read_bytes()
