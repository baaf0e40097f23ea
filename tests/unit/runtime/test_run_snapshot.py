"""A job goes by what its run was planned with: its configuration is handed down, an edit of its code stops it."""

import json
import shutil
from pathlib import Path

import pytest

from fairdream.errors import UserError
from fairdream.runtime import run_snapshot
from fairdream.runtime.code_digest import code_digest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def project(tmp_path, monkeypatch):
    shutil.copytree(ROOT / "workflow", tmp_path / "workflow")
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "requirements.lock", tmp_path)
    monkeypatch.setenv(run_snapshot.VARIABLE, "")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def parts(project):
    return project / "workflow/scripts/finetune.py", project / "src/fairdream", project / "requirements.lock"


def record(project, config):
    script, package, lock = parts(project)
    run_snapshot.record(project / "plans", config, script.parent.glob("*.py"), package, lock)


def test_a_job_reads_the_configuration_that_its_run_began_with(project):
    with pytest.raises(UserError, match="FAIRDREAM_PLAN was not handed down to this job"):
        run_snapshot.configuration()
    config = {"seeds": [0, 1], "biases": ["original", 0.999], "datasets": {"a": {"label": "ä"}}}
    record(project, config)
    assert run_snapshot.configuration() == config


def test_a_job_knows_the_mates_of_its_data_set_bias_and_method_and_of_its_allocation(project):
    names = {"dataset": "celeba", "bias": "0.999", "method": "lora", "subject": "a-b"}
    assert run_snapshot.mates(names, "all") == {}
    adapters = {"celeba/0.999/lora": {"a-b": {"steps": 1}, "a-c": {"steps": 1}}, "celeba/0.999/dreambooth": {"x": {}}}
    scripts = (project / "workflow/scripts").glob("*.py")
    run_snapshot.record(
        project / "plans", {}, scripts, project / "src/fairdream", project / "requirements.lock", adapters
    )
    assert run_snapshot.mates(names, "all") == {"a-b": {"steps": 1}, "a-c": {"steps": 1}}
    assert run_snapshot.mates(names, "a-c,other") == {"a-c": {"steps": 1}}
    assert run_snapshot.mates(names, "") == {}
    assert run_snapshot.mates({**names, "bias": "original"}, "all") == {}


def test_the_same_plan_is_one_file_and_another_is_another(project):
    for seeds in ([0], [0], [1]):
        record(project, {"seeds": seeds})
    assert len(list((project / "plans").glob("*.json"))) == 2


def test_unchanged_code_and_changed_comments_pass(project):
    script, package, lock = parts(project)
    expected = code_digest(script, package, lock)
    record(project, {})
    run_snapshot.check_code(expected, script, package, lock)
    module = package / "diffusion/finetune.py"
    module.write_text(module.read_text() + "\n# only a comment\n")
    other = package / "curation/score.py"  # not a module of this script
    other.write_text(other.read_text() + "\nother = 1\n")
    run_snapshot.check_code(expected, script, package, lock)


def test_a_module_that_moves_during_a_run_stops_no_job(project):
    script, package, lock = parts(project)
    expected = code_digest(script, package, lock)
    record(project, {})
    (package / "models/device.py").rename(package / "data/device.py")
    for path in package.rglob("*.py"):
        path.write_text(path.read_text().replace("fairdream.models.device", "fairdream.data.device"))
    run_snapshot.check_code(expected, script, package, lock)


def test_a_helper_that_is_exchanged_during_a_run_stops_the_job_and_the_importer_is_named(project):
    script, package, lock = parts(project)
    for name in ("device", "weights"):
        path = package / f"models/{name}.py"
        path.write_text(f"{path.read_text()}\n\ndef helper():\n    return 1\n")
    importer = package / "diffusion/finetune.py"
    importer.write_text(f"{importer.read_text()}\nfrom fairdream.models.device import helper\n")
    expected = code_digest(script, package, lock)
    record(project, {})
    importer.write_text(importer.read_text().replace("device import helper", "weights import helper"))
    with pytest.raises(UserError, match=r"^src/fairdream/diffusion/finetune.py changed"):
        run_snapshot.check_code(expected, script, package, lock)


@pytest.mark.parametrize("name", ["src/fairdream/data/images.py", "workflow/scripts/finetune.py"])
def test_changed_code_stops_the_job_and_is_named(project, name):
    script, package, lock = parts(project)
    expected = code_digest(script, package, lock)
    record(project, {})
    changed = project / name
    changed.write_text(changed.read_text() + "\nextra = 1\n")
    with pytest.raises(UserError, match=f"^{name} changed after this run began"):
        run_snapshot.check_code(expected, script, package, lock)
    # where the new code is what Snakemake on the job's node parsed, the plan still tells
    with pytest.raises(UserError, match=f"^{name} changed"):
        run_snapshot.check_code(code_digest(script, package, lock), script, package, lock)


def test_another_pin_stops_the_job(project):
    script, package, lock = parts(project)
    expected = code_digest(script, package, lock)
    record(project, {})
    text = lock.read_text()
    assert "\npeft==" in text
    lock.write_text(text.replace("\npeft==", "\npeft==9"))
    with pytest.raises(UserError, match=r"^requirements.lock changed"):
        run_snapshot.check_code(expected, script, package, lock)
    # where Snakemake on the job's node parsed the new lock, the plan still tells
    with pytest.raises(UserError, match=r"^requirements.lock changed"):
        run_snapshot.check_code(code_digest(script, package, lock), script, package, lock)


def test_a_pin_of_a_library_that_decides_nothing_passes(project):
    script, package, lock = parts(project)
    expected = code_digest(script, package, lock)
    record(project, {})
    lock.write_text(lock.read_text().replace("\npandas==", "\npandas==9"))
    run_snapshot.check_code(expected, script, package, lock)


def test_a_plan_that_is_gone_is_no_reason_to_go_by_the_file(project):
    record(project, {"seeds": [0]})
    for plan in (project / "plans").glob("*.json"):
        plan.unlink()
    with pytest.raises(UserError, match="start the run again"):
        run_snapshot.configuration()
    with pytest.raises(UserError, match="start the run again"):
        run_snapshot.check_code("", *parts(project))


def test_libraries_that_are_not_those_of_the_lock_are_named(project):
    *_, lock = parts(project)
    run_snapshot.check_installed(lock)
    lock.write_text(lock.read_text().replace("\npeft==", "\npeft==9"))
    with pytest.raises(UserError, match=r"peft [\d.]+ \(locked: 9[\d.]+\)\. Run `make setup`"):
        run_snapshot.check_installed(lock)


def test_a_plan_is_json(project, tmp_path):
    record(project, {"a": 1})
    (path,) = (project / "plans").glob("*.json")
    plan = json.loads(path.read_text())
    assert set(plan) == {"config", "code", "files", "lock", "adapters"}
    assert any(name.endswith("src/fairdream/diffusion/finetune.py") for name in plan["files"])
