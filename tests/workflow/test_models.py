"""Models in a workflow: what lies in their place at the start of a run is what its results are recorded under."""

import json
import shutil
from pathlib import Path

import pytest
import yaml
from conftest import needs_models, run_snakemake

pytestmark = [needs_models, pytest.mark.slow]
MANIFEST = "results/models/clip.json"
READER = "results/waterdigits/embeddings.safetensors"


@pytest.fixture
def fetched(project) -> Path:
    """The project with the manifest of its CLIP."""
    done = run_snakemake(project, MANIFEST, timeout=120)
    assert done.returncode == 0, done.stdout[-4000:]
    return project


def other_weights(project: Path) -> None:
    file = project / "resources/tiny-clip/open_clip_model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def test_a_model_is_read_anew_at_the_start_but_not_beside_a_run_that_reads_it(fetched):
    before = (fetched / MANIFEST).read_text()
    other_weights(fetched)
    lock = fetched / ".snakemake/locks/0.input.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    lock.write_text(f"results/other/index.parquet\n{MANIFEST}\n")
    run_snakemake(fetched, "-n", timeout=120)
    assert (fetched / MANIFEST).read_text() == before
    lock.write_text("elsewhere/index.parquet\nelsewhere/clip.json\n")
    assert run_snakemake(fetched, "-n", MANIFEST, timeout=120).returncode == 0
    after = (fetched / MANIFEST).read_text()
    assert after != before
    assert json.loads(after).keys() == json.loads(before).keys()


def test_a_dry_run_refuses_a_model_that_was_replaced_by_half_of_one(fetched):
    (fetched / "resources/tiny-clip/open_clip_model.safetensors").write_bytes(b"half")
    done = run_snakemake(fetched, "-n", timeout=120)
    assert done.returncode == 1
    assert "open_clip_model.safetensors: damaged, or not copied to its end" in done.stdout
    assert "Traceback" not in done.stdout


def test_a_manifest_that_another_project_wrote_is_refused_before_the_first_job(fetched, tmp_path):
    """Both keep theirs in one `models.folder`; Snakemake knows of its own project's jobs alone."""
    content = json.loads((fetched / MANIFEST).read_text())
    content["model"]["name"] = "local-dir:elsewhere"
    (fetched / MANIFEST).write_text(json.dumps(content))
    done = run_snakemake(fetched, READER, timeout=120)
    assert done.returncode == 1
    assert f"{MANIFEST}: is of another configuration's model (name: local-dir:elsewhere)" in done.stdout
    assert not (fetched / "results/data/waterdigits/metadata.csv").exists()


def test_a_model_that_the_configuration_no_longer_asks_for_may_be_gone(fetched):
    """The run fetches the one that it asks for now."""
    shutil.move(fetched / "resources/tiny-clip", fetched / "resources/other-clip")
    values = yaml.safe_load((fetched / "config.yaml").read_text())
    values["models"]["clip"]["name"] = "local-dir:resources/other-clip"
    (fetched / "config.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    done = run_snakemake(fetched, MANIFEST, timeout=120)
    assert done.returncode == 0, done.stdout[-4000:]
    assert json.loads((fetched / MANIFEST).read_text())["path"] == "resources/other-clip"
