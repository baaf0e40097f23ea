"""The whole workflow: what it runs, what it runs again, and what it says when it cannot."""

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
import yaml
from conftest import ONE_THREAD, ROOT, SMALLEST, Job, copy_project, jobs_in, needs_models, planned, run_snakemake
from PIL import Image
from processes import run

FILTERED = {"vanilla", "lora", "dreambooth", "clustered_dreambooth", "dreambooth_mirrored"}  # by CLIP score
ROWS = {"erm", "ffr", "gdro", "self", "dfr", "jtt"} | FILTERED


def rules(jobs: set[Job]) -> set[str]:
    return {job.rule for job in jobs}


def cpu_seconds() -> float:
    """CPU time of all processes that ended until now: the wall time of an idle machine."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def plan(project: Path, *arguments: str, profile: str = "default") -> str:
    """Return what `fairdream plan` prints in a project."""
    command = [sys.executable, "-m", "fairdream", "plan", "paper", "--profile", f"profiles/{profile}", *arguments]
    if profile == "default":
        command += ["--cores", "2"]
    variables = {key: value for key, value in os.environ.items() if not key.startswith(("SNAKEMAKE", "FAIRDREAM"))}
    variables["PYTHONPATH"] = str(project / "src")
    done = subprocess.run(command, cwd=project, env=variables, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# ---- What a run does


@needs_models
def test_the_jobs_that_ran_are_the_jobs_of_the_first_dry_run(finished):
    _, dry, done = finished
    expected = jobs_in(dry)
    assert Counter(job.rule for job in expected) == planned(dry), "each job has a message of its own"
    assert jobs_in(done) == expected


@needs_models
def test_the_table_and_every_kind_of_output_are_there(finished):
    results = finished[0] / "results"
    table = pd.read_csv(results / "tables/table1.csv", dtype={"bias": str})
    assert ",".join(table.columns) == (
        "dataset,bias,method,synthetic,seeds,wga_mean,wga_std,aga_mean,aga_std,weighted_mean,weighted_std"
    )
    rows = {bias: set(table.loc[table["bias"] == bias, "method"]) for bias in ("original", "0.999", "average")}
    assert rows["0.999"] == ROWS
    assert rows["original"] == rows["average"] == rows["0.999"] - {"dreambooth_mirrored"}
    assert table["wga_mean"].between(0, 100).all()
    assert (table["wga_mean"] <= table["aga_mean"]).all()
    for name in ("table1.md", "table1.tex"):
        assert (results / "tables" / name).read_text()
    home = results / "waterdigits/0.999/clustered_dreambooth"
    for path in (
        "subjects/even-land-c00.json",
        "adapters/even-land-c00/pytorch_lora_weights.safetensors",
        "adapters/even-land-c00/history.csv",
        "selected/clip.parquet",
        "classifiers/clip-supcon/seed0/llr_all.metrics.json",
    ):
        assert (home / path).is_file(), path
    # 7 images per group over two clusters: 4 and 3; a swapped group is generated from its class's aligned group
    shards = sorted(p.relative_to(home / "images").as_posix() for p in (home / "images").rglob("*.parquet"))
    assert [s for s in shards if s.startswith("even-water")] == [
        "even-water/even-land-c00/000000-000004.parquet",
        "even-water/even-land-c01/000000-000003.parquet",
    ]
    assert not list(results.rglob(".*.*")), "a temporary file was left"


@needs_models
def test_a_second_run_has_nothing_to_do(finished):
    project = finished[0]
    before = {path: path.stat().st_mtime_ns for path in (project / "results").rglob("*") if path.is_file()}
    done = run_snakemake(project, timeout=240)
    assert done.returncode == 0, done.stdout
    assert "Nothing to be done" in done.stdout
    assert before == {path: path.stat().st_mtime_ns for path in before}


@needs_models
def test_the_same_values_on_the_command_line_and_in_an_overlay_leave_nothing_to_do(finished, tmp_path):
    own = yaml.safe_load(SMALLEST.read_text())["finetune"]
    overlay = tmp_path / "more.yaml"
    overlay.write_text(yaml.safe_dump({"finetune": {"learning_rate": own["learning_rate"]}}))
    given = ["seeds=[0]", "biases=[original, 0.999]", f"finetune={{alpha: {own['alpha']}, steps: {own['steps']}}}"]
    done = run_snakemake(
        finished[0], "-n", "--configfile", "config.yaml", str(overlay), "--config", *given, timeout=240
    )
    assert done.returncode == 0, done.stdout
    assert "Nothing to be done" in done.stdout


# ---- What an edit runs again


@needs_models
def test_a_touched_image_and_an_edited_comment_run_nothing(rerun):
    project, jobs = rerun
    image = next((project / "results/data/waterdigits/images").glob("*.png"))
    os.utime(image)
    module = project / "src/fairdream/diffusion/finetune.py"
    module.write_text(module.read_text() + "\n# a comment\n")
    assert jobs() == set()


@needs_models
def test_another_fraction_selects_again_and_trains_what_selects(rerun):
    project, jobs = rerun
    config = project / "config.yaml"
    config.write_text(config.read_text().replace("fraction: 0.75", "fraction: 0.5"))
    again = jobs()
    assert rules(again) == {"select", "pretrain", "retrain", "evaluate", "tabulate"}
    assert {job.wildcards["method"] for job in again if job.rule != "tabulate"} == FILTERED
    # five methods at 0.999, all but the mirrored one at the original bias
    assert Counter(job.rule for job in again)["select"] == 9


@needs_models
def test_an_override_for_lora_runs_loras_jobs(rerun):
    project, jobs = rerun
    config = project / "config.yaml"
    config.write_text(
        config.read_text().replace("finetune:\n", "finetune:\n  overrides: {lora: {learning_rate: 2.0e-3}}\n")
    )
    again = jobs()
    assert rules(again) == {"finetune", "generate", "score", "select", "pretrain", "retrain", "evaluate", "tabulate"}
    assert {job.wildcards["method"] for job in again if job.rule != "tabulate"} == {"lora"}
    assert Counter(job.rule for job in again)["finetune"] == 4 + 2


@needs_models
def test_the_plan_of_an_edit_is_its_dry_run_with_reasons(rerun):
    project, jobs = rerun
    assert plan(project) == "Nothing to be done: all that was asked for is there.\n"
    config = project / "config.yaml"
    config.write_text(
        config.read_text().replace("finetune:\n", "finetune:\n  overrides: {lora: {learning_rate: 2.0e-3}}\n")
    )
    told = plan(project)
    assert re.search(r"^finetune +6 .*learning_rate 0\.001 → 0\.002$", told, re.M), told
    assert f"In all: {len(jobs())} jobs" in told
    # all stages have run here: nothing is by default
    assert "*" not in told
    assert not (project / "results/store/plans").exists() or len(list((project / "results/store/plans").iterdir())) == 1


@needs_models
def test_the_plan_behind_a_checkpoint_tells_what_is_expected_and_the_most(rerun):
    project, jobs = rerun
    image = sorted((project / "results/data/waterdigits/images").glob("*.png"))[0]
    Image.new("RGB", (32, 32), (200, 30, 30)).save(image)
    told = plan(project)
    (most,) = re.findall(r"^At the most: (\d+) jobs", told, re.M)
    assert int(most) == len(jobs())
    assert re.search(r"^finetune +\d+ +0 ", told, re.M), told
    # but what is trained otherwise is trained
    config = project / "config.yaml"
    config.write_text(
        config.read_text().replace("finetune:\n", "finetune:\n  overrides: {lora: {learning_rate: 2.0e-3}}\n")
    )
    told = plan(project)
    assert re.search(r"^finetune +\d+ +6 .*learning_rate 0\.001 → 0\.002 \(6\)", told, re.M), told


@needs_models
def test_another_seed_adds_classifiers_alone(rerun):
    project, jobs = rerun
    config = project / "config.yaml"
    config.write_text(config.read_text().replace("seeds: [0]", "seeds: [0, 1]"))
    again = jobs()
    assert rules(again) == {"pretrain", "retrain", "evaluate", "tabulate"}
    assert {job.wildcards["seed"] for job in again if job.rule != "tabulate"} == {"1"}


@needs_models
@pytest.mark.slow
def test_all_tables_and_figures_build_and_another_alpha_draws_no_image(rerun):
    project, jobs = rerun
    done = run_snakemake(project, "tables", "figures", warm=True, timeout=1700)
    assert done.returncode == 0, done.stdout[-6000:]
    assert not {"finetune", "generate", "score"} & planned(done.stdout).keys()
    tables = project / "results/tables"
    table2 = pd.read_csv(tables / "table2.csv")
    assert set(table2["method"]) == {"gdro", "clustered_dreambooth_gdro"}
    table3 = pd.read_csv(tables / "table3.csv").set_index("method")
    assert table3["complexity"].to_dict() == {
        "ffr": "O(1)",
        "vanilla": "O(1)",
        "lora": "O(G)",
        "dreambooth": "O(G)",
        "clustered_dreambooth": "O(G k)",
    }
    assert (table3["hours"] > 0).all()
    assert (table3["finetune_hours"] > 0).to_dict() == {m: m not in ("ffr", "vanilla") for m in table3.index}
    ablations = pd.read_csv(tables / "ablations.csv")
    assert set(ablations["ablation"]) == {"CLIP-Score", "Filtering", "Loss", "Stage 2"}
    intervals = pd.read_csv(tables / "uncertainty.csv")
    assert set(intervals["method"]) == ROWS
    assert (intervals["wga_low"] <= intervals["wga_high"]).all()
    figures = {path.name for path in (project / "results/figures").glob("*.png")}
    for name in ("bias", "cost", "waterdigits-0.999-ffr", "compare-waterdigits-original-even-land"):
        assert f"{name}.png" in figures
    assert "clusters-waterdigits-0.999-clustered_dreambooth.png" in figures
    assert "scores-waterdigits-0.999-dreambooth_mirrored.png" in figures
    config = project / "config.yaml"
    config.write_text(config.read_text().replace("alpha: 0.5,", "alpha: 0.25,"))
    again = jobs()
    assert rules(again) == {"select", "pretrain", "retrain", "evaluate", "tabulate"}
    assert {job.wildcards["bias"] for job in again if job.rule != "tabulate"} == {"original"}


# ---- What a kill leaves


@needs_models
@pytest.mark.slow
def test_a_classifier_is_taken_away_and_predicts(rerun):
    project, _ = rerun
    folder = "results/waterdigits/original/clustered_dreambooth"
    done = run_snakemake(project, f"{folder}/model/README.md", timeout=200)
    assert done.returncode == 0, done.stdout[-4000:]
    assert rules(jobs_in(done.stdout)) == {"export"}
    index = pd.read_parquet(project / "results/waterdigits/index.parquet")
    test = index[index["split"] == "test"].head(40)
    paths = [str(Path(row.folder, row.path)) for row in test.itertuples()]
    test.assign(path=paths).to_csv(project / "truth.csv", index=False)
    command = [sys.executable, "-m", "fairdream", "predict", f"{folder}/model", *paths, "--output", "out.csv"]
    variables = os.environ | {"PYTHONPATH": str(project / "src")}
    told = run(*command, "--table", "truth.csv", cwd=project, env=variables, timeout=100)
    assert told.returncode == 0, told.stdout
    assert "worst group" in told.stdout
    # the same as the workflow's own predictions
    predictions = pd.read_parquet(next(project.glob(f"{folder}/classifiers/*/seed0/llr_all.predictions.parquet")))
    own = predictions.set_index("id").loc[test["id"], "predicted"]
    assert list(pd.read_csv(project / "out.csv")["predicted"]) == list(own)


@needs_models
@pytest.mark.slow
def test_a_run_killed_in_a_training_ends_with_the_same_table(finished, tmp_path):
    project = copy_project(tmp_path / "killed", SMALLEST)
    # as many threads per job as in the other run: another number rounds otherwise
    command = [sys.executable, "-m", "snakemake", "--profile", "profiles/default", "--cores", "2"]
    process = subprocess.Popen(
        [*command, "--set-threads", *ONE_THREAD],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(project / "src")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 600
    # the log exists from the moment in which a training begins
    while not list((project / "results/logs/finetune").glob("*.log")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)
    time.sleep(1)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (project / "results/tables/table1.csv").exists()
    run_snakemake(project, "--unlock", timeout=240)
    done = run_snakemake(project, warm=True, timeout=1700)
    assert done.returncode == 0, done.stdout[-6000:]
    for name in ("table1.csv", "table1.md", "table1.tex"):
        killed, undisturbed = (folder / "results/tables" / name for folder in (project, finished[0]))
        assert killed.read_bytes() == undisturbed.read_bytes()


# ---- What is found before the first job


def test_a_job_that_is_cancelled_when_the_run_is_planned_takes_its_files_along_and_runs_again(
    rerun, tmp_path, monkeypatch
):
    project, jobs = rerun
    (project / "results/tables/table1.csv").unlink()
    assert {job.rule for job in jobs()} == {"tabulate"}
    lost = min((project / "results/waterdigits/0.999/erm").rglob("*.metrics.json"))
    tools, queue = tmp_path / "bin", tmp_path / "queue"
    tools.mkdir()
    queue.write_text(f"7|RUNNING|rule_evaluate|{project}\n")
    for name, line in {"squeue": f"cat {queue}", "scancel": f": > {queue}; rm {lost}"}.items():
        (tools / name).write_text(f"#!/bin/sh\n{line}\n")
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    done = run_snakemake(project, FAIRDREAM_ORPHANS="cancel")
    assert done.returncode == 0, done.stdout
    assert {job.rule for job in jobs_in(done.stdout)} == {"evaluate", "tabulate"}
    assert lost.is_file()
    assert jobs() == set()


def test_without_data_the_literal_command_says_what_is_missing(paper, snakemake):
    before = cpu_seconds()
    done = snakemake(paper, "results/tables/table1.csv", profile="slurm", timeout=120)
    assert cpu_seconds() - before < 10
    assert done.returncode != 0
    for text in ("waterbirds", "celeba", "utkface", "data/celeba", "make demo", "github.com/kohpangwei/group_DRO"):
        assert text in done.stdout
    assert "Traceback" not in done.stdout
    assert "slurm" not in {path.name for path in (paper / "results").rglob("*")}


def test_the_paper_s_run_is_known_before_its_data(paper, snakemake):
    config = yaml.safe_load((paper / "config.yaml").read_text())
    for own in config["datasets"].values():
        folder = paper / own["folder"]
        folder.mkdir(parents=True)
        for table in own["tables"]:
            (folder / table["file"]).write_text("a table of its own\n")
    done = snakemake(paper, "-n", timeout=240)
    assert done.returncode == 0, done.stdout[-4000:]
    jobs = planned(done.stdout)
    assert jobs["finetune"] == 204
    # FFR's images are not scored: 5 shards of 4 groups of 3 sets
    assert jobs["generate"] == jobs["score"] + 3 * 4 * 5
    assert sum(jobs.values()) >= 1600
    assert jobs["pretrain"] == jobs["retrain"] == jobs["evaluate"] == 3 * 2 * 8 * 3
    # Snakemake tells of a job more than once where its group fills several allocations
    told = plan(paper, "results/tables/table1.csv", profile="slurm")
    assert f"In all: {sum(jobs.values()):,} jobs" in told


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("fraction: 0.75", "fraction: 1.75", ["select.fraction", "1.75", "less than or equal to 1"]),
        ("learning_rate: 1.0e-3\n  weight_decay: 0.01", "learning_rate: 1e-3\n  weight_decay: 0.01", ["text to YAML"]),
        ("methods: [erm,", "methods: [ermine,", ["methods", "'ermine'", "'erm'"]),
        ("clusters: 2", "clusters: 20", ["even-water", "25", "80", "datasets.waterdigits.clusters"]),
        ("max_redraws: 5", "max_redraws: 5\n  colour: red", ["generate.colour", "unknown key"]),
        ("seeds: [0]", "seeds: [0]\nseeds: [1]", ["seeds", "stands twice", "line"]),
    ],
)
def test_a_wrong_value_stops_before_any_job_with_a_message_and_no_traceback(project, snakemake, old, new, words):
    config = project / "config.yaml"
    text = config.read_text()
    assert old in text
    config.write_text(text.replace(old, new))
    done = snakemake(project, timeout=120)
    assert done.returncode != 0
    for word in words:
        assert word in done.stdout
    assert "Traceback" not in done.stdout
    assert not (project / "results").exists()


def test_a_dry_run_of_the_demo_is_quick(tmp_path, snakemake):
    project = copy_project(tmp_path / "project", ROOT / "config.yaml")
    before = cpu_seconds()
    done = snakemake(project, "-n", profile="demo", timeout=120)
    assert cpu_seconds() - before < 7
    assert done.returncode == 0, done.stdout
    jobs = planned(done.stdout)
    # LoRA and DreamBooth: 4 groups + 2 aligned ones each; 3 clusters of each of those
    assert jobs["finetune"] == 2 * 6 + 3 * 6
    assert not Path(project, "results/demo/tables").exists()


def test_results_may_lie_anywhere(project, snakemake, tmp_path):
    config = project / "config.yaml"
    config.write_text(config.read_text().replace("results: results\n", f"results: {tmp_path}/scratch/my results\n"))
    done = snakemake(project, "-n", timeout=120)
    assert done.returncode == 0, done.stdout[-3000:]
    assert planned(done.stdout)["retrain"] == 21


def test_jobs_go_by_what_the_command_line_gives(project, snakemake):
    done = snakemake(project, "waterdigits", "--config", "seeds=[0, 7]", 'finetune={"steps": 5}', timeout=120)
    assert done.returncode == 0, done.stdout
    (plan,) = (project / "results/store/plans").iterdir()
    config = json.loads(plan.read_text())["config"]
    assert (config["seeds"], config["finetune"]["steps"], config["finetune"]["rank"]) == ([0, 7], 5, 2)


def test_a_configuration_on_the_command_line_replaces_the_default(tmp_path, snakemake):
    project = copy_project(tmp_path / "project", ROOT / "config.yaml")
    shutil.copy(SMALLEST, project / "my.yaml")
    done = snakemake(project, "-n", "--configfile", "my.yaml", timeout=120)
    assert done.returncode == 0, done.stdout
    assert "celeba" not in done.stdout
