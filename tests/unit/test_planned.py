"""A job goes by what its run was planned with: its configuration is handed down, an edit of its code stops it."""

import json
import shutil
from pathlib import Path

import pytest

from fairdream import planned
from fairdream.code_digest import code_digest
from fairdream.errors import UserError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def project(tmp_path, monkeypatch):
    shutil.copytree(ROOT / "workflow", tmp_path / "workflow")
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "requirements.lock", tmp_path)
    monkeypatch.setenv(planned.VARIABLE, "")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def parts(project):
    return project / "workflow/scripts/finetune.py", project / "src/fairdream", project / "requirements.lock"


def record(project, config):
    script, package, lock = parts(project)
    planned.record(project / "plans", config, script.parent.glob("*.py"), package, lock)


def test_a_job_reads_the_configuration_that_its_run_began_with(project):
    assert planned.configuration() is None
    config = {"seeds": [0, 1], "biases": ["original", 0.999], "datasets": {"a": {"label": "ä"}}}
    record(project, config)
    assert planned.configuration() == config


def test_a_job_knows_the_mates_of_its_data_set_bias_and_method_and_of_its_allocation(project):
    names = {"dataset": "celeba", "bias": "0.999", "method": "lora", "subject": "a-b"}
    assert planned.mates(names, "all") == {}
    adapters = {"celeba/0.999/lora": {"a-b": {"steps": 1}, "a-c": {"steps": 1}}, "celeba/0.999/dreambooth": {"x": {}}}
    scripts = (project / "workflow/scripts").glob("*.py")
    planned.record(project / "plans", {}, scripts, project / "src/fairdream", project / "requirements.lock", adapters)
    assert planned.mates(names, "all") == {"a-b": {"steps": 1}, "a-c": {"steps": 1}}
    assert planned.mates(names, "a-c,other") == {"a-c": {"steps": 1}}
    assert planned.mates(names, "") == {}
    assert planned.mates({**names, "bias": "original"}, "all") == {}


def test_the_same_plan_is_one_file_and_another_is_another(project):
    for seeds in ([0], [0], [1]):
        record(project, {"seeds": seeds})
    assert len(list((project / "plans").glob("*.json"))) == 2


def test_unchanged_code_and_changed_comments_pass(project):
    script, package, lock = parts(project)
    expected = code_digest(script, package, lock)
    record(project, {})
    planned.check_code(expected, script, package, lock)
    module = package / "finetune.py"
    module.write_text(module.read_text() + "\n# only a comment\n")
    other = package / "score.py"  # not a module of this script
    other.write_text(other.read_text() + "\nother = 1\n")
    planned.check_code(expected, script, package, lock)


def test_a_module_that_moves_during_a_run_stops_no_job(project):
    script, package, lock = parts(project)
    expected = code_digest(script, package, lock)
    record(project, {})
    (package / "models").mkdir()
    (package / "models/__init__.py").write_text('"""Pretrained weights."""\n')
    (package / "device.py").rename(package / "models/device.py")
    for path in package.glob("*.py"):
        path.write_text(path.read_text().replace("fairdream.device", "fairdream.models.device"))
    planned.check_code(expected, script, package, lock)


def test_a_helper_that_is_exchanged_during_a_run_stops_the_job_and_the_importer_is_named(project):
    script, package, lock = parts(project)
    for name in ("device", "basemodel"):
        path = package / f"{name}.py"
        path.write_text(f"{path.read_text()}\n\ndef helper():\n    return 1\n")
    importer = package / "finetune.py"
    importer.write_text(f"{importer.read_text()}\nfrom fairdream.device import helper\n")
    expected = code_digest(script, package, lock)
    record(project, {})
    importer.write_text(importer.read_text().replace("device import helper", "basemodel import helper"))
    with pytest.raises(UserError, match=r"^src/fairdream/finetune.py changed"):
        planned.check_code(expected, script, package, lock)


@pytest.mark.parametrize("name", ["src/fairdream/images.py", "workflow/scripts/finetune.py"])
def test_changed_code_stops_the_job_and_is_named(project, name):
    script, package, lock = parts(project)
    expected = code_digest(script, package, lock)
    record(project, {})
    changed = project / name
    changed.write_text(changed.read_text() + "\nextra = 1\n")
    with pytest.raises(UserError, match=f"^{name} changed after this run began"):
        planned.check_code(expected, script, package, lock)
    # where the new code is what Snakemake on the job's node parsed, the plan still tells
    with pytest.raises(UserError, match=f"^{name} changed"):
        planned.check_code(code_digest(script, package, lock), script, package, lock)


def test_another_pin_stops_the_job(project):
    script, package, lock = parts(project)
    expected = code_digest(script, package, lock)
    record(project, {})
    text = lock.read_text()
    assert "\npeft==" in text
    lock.write_text(text.replace("\npeft==", "\npeft==9"))
    with pytest.raises(UserError, match=r"^requirements.lock changed"):
        planned.check_code(expected, script, package, lock)
    # where Snakemake on the job's node parsed the new lock, the plan still tells
    with pytest.raises(UserError, match=r"^requirements.lock changed"):
        planned.check_code(code_digest(script, package, lock), script, package, lock)


def test_a_pin_of_a_library_that_decides_nothing_passes(project):
    script, package, lock = parts(project)
    expected = code_digest(script, package, lock)
    record(project, {})
    lock.write_text(lock.read_text().replace("\npandas==", "\npandas==9"))
    planned.check_code(expected, script, package, lock)


def test_a_plan_that_is_gone_is_no_reason_to_go_by_the_file(project):
    record(project, {"seeds": [0]})
    for plan in (project / "plans").glob("*.json"):
        plan.unlink()
    with pytest.raises(UserError, match="start the run again"):
        planned.configuration()
    with pytest.raises(UserError, match="start the run again"):
        planned.check_code("", *parts(project))


def test_libraries_that_are_not_those_of_the_lock_are_named(project):
    *_, lock = parts(project)
    planned.check_installed(lock)
    lock.write_text(lock.read_text().replace("\npeft==", "\npeft==9"))
    with pytest.raises(UserError, match=r"peft [\d.]+ \(locked: 9[\d.]+\)\. Run `make setup`"):
        planned.check_installed(lock)


def test_a_plan_is_json(project, tmp_path):
    record(project, {"a": 1})
    (path,) = (project / "plans").glob("*.json")
    plan = json.loads(path.read_text())
    assert set(plan) == {"config", "code", "files", "lock", "adapters"}
    assert any(name.endswith("src/fairdream/finetune.py") for name in plan["files"])
