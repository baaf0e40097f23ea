"""Estimates against runs that were made up, and a plan's words."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fairdream.cli import cost, plan
from fairdream.config.root import load_config
from fairdream.planning import dag_timeline, params
from fairdream.planning.dag_timeline import FOLLOWS, Job
from fairdream.planning.job_rates import ANY, DEFAULTS, SIZES, Rates, work
from fairdream.runtime import run_snapshot

ROOT = Path(__file__).resolve().parents[3]
LORA = {"dataset": "waterdigits", "bias": "original", "method": "lora"}


@pytest.fixture
def config(tmp_path):
    own = load_config(ROOT / "config/demo.yaml")
    return own.model_copy(update={"results": str(tmp_path / "results")})


def benchmark(config, rule: str, seconds: float, wildcards: dict[str, str], **changed: object) -> Path:
    """Write the benchmark file of a job that ran with other values than the configuration's."""
    values = {**params.read_by(config, rule, wildcards), **changed}
    path = Path(config.results, "benchmarks", rule, "-".join(wildcards.values()) + ".jsonl")
    path.parent.mkdir(parents=True, exist_ok=True)
    record = {"rule_name": rule, "s": seconds, "wildcards": wildcards, "params": {"cfg": values}}
    path.write_text(json.dumps({**record, "resources": {"gpu": 1}}) + "\n")
    return path


def seconds(config, rule: str, wildcards: dict[str, str]) -> float:
    return Rates(config).seconds(work(config, rule, wildcards, params.read_by(config, rule, wildcards)))


# ---- Rates


def test_without_a_run_the_defaults_count(config):
    subject = {**LORA, "subject": "even-land"}
    values = params.read_by(config, "finetune", subject)
    megapixels = values["steps"] * values["batch_size"] * values["resolution"] ** 2 / 1e6
    assert seconds(config, "finetune", subject) == pytest.approx(30 + 0.76 * megapixels)
    rates, own = Rates(config), work(config, "finetune", subject, values)
    assert not rates.known(own)
    assert rates.bytes(own, subject) == SIZES["finetune"]


def test_a_training_measured_at_fewer_steps_tells_of_a_longer_one(config):
    for number, took in enumerate([8.0, 10.0, 90.0]):  # an outlier, such as a first start
        benchmark(config, "finetune", took, {**LORA, "subject": f"even-land-c0{number}"}, steps=100)
    assert seconds(config, "finetune", {**LORA, "subject": "odd-land"}) == pytest.approx(
        10.0 * config.finetune.steps / 100
    )


def test_a_method_goes_by_its_own_jobs_and_by_others_where_it_has_none(config):
    benchmark(config, "finetune", 30.0, {**LORA, "subject": "even-land"})
    benchmark(config, "finetune", 60.0, {**LORA, "method": "dreambooth", "subject": "even-land"})
    assert seconds(config, "finetune", {**LORA, "subject": "odd-land"}) == pytest.approx(30.0)
    other = {**LORA, "method": "clustered_dreambooth", "subject": "odd-land-c00"}
    assert seconds(config, "finetune", other) == pytest.approx(45.0)


def test_an_adapter_that_the_store_had_says_nothing_of_its_training(config):
    subject = {**LORA, "subject": "even-land"}
    benchmark(config, "finetune", 0.5, subject, steps=100, batch_size=8)
    history = Path(config.results, *LORA.values(), "adapters/even-land/history.csv")
    history.parent.mkdir(parents=True)
    history.write_text("step,loss,learning_rate,images_per_second,peak_memory_mb\n50,1,1,40,1\n100,1,1,40,1\n")
    trained = 100 * 8 / 40
    values = params.read_by(config, "finetune", subject)
    ratio = values["steps"] * values["batch_size"] / (100 * 8)
    assert seconds(config, "finetune", subject) == pytest.approx(trained * ratio)


def test_the_adapters_of_a_pool_share_its_time(config):
    """One job trained two, a mate's job found its own in the store: each counts its share, as the history tells it."""
    for name, took in (("even-land", 40.0), ("odd-land", 2.0)):
        subject = {**LORA, "subject": name}
        benchmark(config, "finetune", took, subject, steps=100, batch_size=8)
        history = Path(config.results, *LORA.values(), f"adapters/{name}/history.csv")
        history.parent.mkdir(parents=True)
        # the first steps are slow: the model is loaded in them
        history.write_text("step,loss,learning_rate,images_per_second,peak_memory_mb\n50,1,1,20,1\n100,1,1,80,1\n")
    share = 50 * 8 / 20 + 50 * 8 / 80
    values = params.read_by(config, "finetune", {**LORA, "subject": "even-water"})
    ratio = values["steps"] * values["batch_size"] / (100 * 8)
    assert seconds(config, "finetune", {**LORA, "subject": "even-water"}) == pytest.approx(share * ratio)


def test_images_grow_with_their_number_and_steps(config):
    shard = {**LORA, "group": "even-land", "subject": "even-land", "shard": "000000-000050"}
    benchmark(config, "generate", 5.0, shard, num_inference_steps=5)
    larger = {**shard, "shard": "000050-000150"}
    steps = config.generate.num_inference_steps
    assert seconds(config, "generate", larger) == pytest.approx(5.0 * (100 * steps) / (50 * 5))


def test_disk_is_what_such_files_take(config):
    folder = Path(config.results, "waterdigits/original/lora/images/even-land/even-land")
    folder.mkdir(parents=True)
    (folder / "000000-000050.parquet").write_bytes(bytes(5000))
    shard = {**LORA, "group": "even-land", "subject": "even-land", "shard": "000000-000200"}
    own = work(config, "generate", shard, params.read_by(config, "generate", shard))
    assert Rates(config).bytes(own, shard) == pytest.approx(20_000)


def test_every_rule_s_work_can_be_told(config):
    names = {**LORA, "subject": "even-land", "group": "even-land", "shard": "000000-000010", "loss": "ce"}
    names |= {"selection": "clip", "recipe": "ft_all", "role": "clip", "seed": "0"}
    for rule in ("index", "embed", "finetune", "generate", "score", "select", "pretrain", "retrain", "evaluate"):
        own = work(config, rule, names, params.read_by(config, rule, names))
        assert own.units > 0
        assert Rates(config).seconds(own) >= DEFAULTS.get(rule, ANY).start


# ---- The plan


def job(
    rule: str,
    inputs: list[str],
    outputs: list[str],
    took: float = 10,
    gpu: bool = False,
    reason: str = "",
    group: str = "",
) -> Job:
    reason = reason or f"Missing output files: {outputs}"
    return Job(rule, reason, gpu, 1, inputs, outputs, took, True, 0.0, group)


def test_the_wall_time_is_that_of_the_longest_way_or_of_the_few_machines():
    jobs = [job("a", [], ["a"], 10), job("b", ["a"], ["b"], 20), job("c", ["b"], ["c"], 5)]
    jobs += [job("d", ["a"], [f"d{number}"], 20) for number in range(3)]
    needs = dag_timeline.needs_of(jobs)
    assert dag_timeline.wall_time(jobs, needs, 0, 100) == 35
    assert dag_timeline.wall_time(jobs, needs, 0, 1) == 95
    # a; b beside d; d beside d; c
    assert dag_timeline.wall_time(jobs, needs, 0, 2) == 55


def test_on_a_cluster_only_gpus_are_waited_for():
    jobs = [job("a", [], [f"a{n}"], 10, gpu=True) for n in range(4)] + [job("b", [], [f"b{n}"], 10) for n in range(4)]
    needs = dag_timeline.needs_of(jobs)
    assert dag_timeline.wall_time(jobs, needs, 2, 1) == 20
    assert dag_timeline.wall_time(jobs, needs, 1, 1) == 40
    assert dag_timeline.wall_time(jobs, needs, 4, 1) == 10
    # on this machine its core is
    assert dag_timeline.wall_time(jobs, needs, 0, 1) == 80


def test_jobs_of_one_allocation_take_turns_on_its_gpu():
    jobs = [job("a", [], [f"a{n}"], 10, gpu=True, group="mates") for n in range(4)]
    needs = dag_timeline.needs_of(jobs)
    assert dag_timeline.wall_time(jobs, needs, 64, 1) == 10
    # two allocations of two, then one of three and another of one
    assert dag_timeline.wall_time(jobs, dag_timeline.in_turns(jobs, needs, {"mates": 2}), 64, 1) == 20
    assert dag_timeline.wall_time(jobs, dag_timeline.in_turns(jobs, needs, {"mates": 3}), 64, 1) == 30
    assert "30 s with 64 GPUs" in plan.tell(jobs, cluster=True, cores=2, members={"mates": 3})
    assert dag_timeline.in_turns(jobs, needs, {}) == needs


def test_adapters_behind_a_checkpoint_are_expected_to_stay():
    changed = f"{FOLLOWS}: r/d/b/m/subjects/index.json"
    jobs = [
        job("subjects", ["s"], ["r/d/b/m/subjects/index.json"], reason=f"{FOLLOWS}: s"),
        job("finetune", ["<TBD>"], ["r/d/b/m/adapters/x/w"], reason=changed),
        job("finetune", ["<TBD>"], ["r/d/b/m/adapters/y/w"]),
        job("finetune", ["<TBD>"], ["r/d/b/m/adapters/z/w"], reason=f"{changed}; Params have changed since last run"),
        job("generate", ["r/d/b/m/adapters/x/w"], ["x"], reason=f"{FOLLOWS}: r/d/b/m/adapters/x/w"),
        job("generate", ["r/d/b/m/adapters/y/w"], ["y"]),
    ]
    needs = dag_timeline.needs_of(jobs)
    assert needs == [set(), {0}, {0}, {0}, {1}, {2}]
    assert dag_timeline.expected_of(jobs, needs) == [True, False, True, True, False, True]
    told = plan.tell(jobs, cluster=False, cores=2)
    assert "In all: 4 jobs" in told
    assert "At the most: 6 jobs" in told


def test_reasons_name_the_keys_that_changed():
    before = "{'steps': 3, 'clip': {'name': 'a'}},'" + "0" * 64 + "'"
    now = "{'steps': 5, 'clip': {'name': 'b'}, 'rank': 4},'" + "1" * 64 + "'"
    text = f"Params have changed since last execution: Union of exclusive params: before: {before} now: {now} "
    assert plan.why(text) == ["code", "clip.name a → b", "rank", "steps 3 → 5"]
    semicolons = text.replace("'a'", "'cats &amp; pets'").replace("'b'", "'cats; pets'")
    assert plan.why(semicolons) == ["code", "clip.name cats &amp; pets → cats; pets", "rank", "steps 3 → 5"]
    assert plan.why(f"Updated input files: a; {semicolons}")[:2] == ["newer input", "code"]
    assert plan.why("Missing output files: a, b") == ["not there yet"]
    assert plan.why(f"{FOLLOWS}: a") == ["follows"]
    assert plan.why(f"{FOLLOWS}: a; Updated input files: b") == ["newer input"]
    assert plan.why("Params have changed since last execution: something new") == ["configuration or code"]


def test_an_estimate_without_benchmarks_says_so():
    jobs = [job("a", [], ["a"])]
    assert "A100" not in plan.tell(jobs, cluster=True, cores=2)
    jobs[0].measured = False
    told = plan.tell(jobs, cluster=True, cores=2)
    assert "10 s*" in told
    assert "A100" in told
    assert plan.tell([], cluster=True, cores=2).startswith("Nothing to be done")


# ---- What it took


def test_what_a_run_took_and_what_the_last_one_did(config, tmp_path, monkeypatch):
    monkeypatch.delenv(run_snapshot.VARIABLE, raising=False)
    results = Path(config.results)
    old = benchmark(config, "finetune", 7200.0, {**LORA, "subject": "even-land"})
    os.utime(old, (1e9, 1e9))
    run_snapshot.record(results / "store/plans", {}, [], ROOT / "src/fairdream", ROOT / "requirements.lock")
    begun = next(results.glob("store/plans/*.json")).stat().st_mtime
    new = benchmark(config, "finetune", 1800.0, {**LORA, "subject": "odd-land"})
    os.utime(new, (begun + 3600, begun + 3600))
    told = cost.tell(results)
    assert "In all: 2 jobs, 2.5 h of jobs that ask for a GPU" in told
    assert "1 jobs, 30 min of jobs that ask for a GPU and 0 s of others, in 60 min." in told.splitlines()[-1]
    run_snapshot.record(results / "store/plans", {}, [], ROOT / "src/fairdream", ROOT / "requirements.lock")
    assert next(results.glob("store/plans/*.json")).stat().st_mtime >= begun
    assert "nothing was run" in cost.tell(tmp_path / "elsewhere")
    # a kill while Snakemake wrote: neither the plan nor the costs stumble over it
    new.write_text("")
    assert "In all: 1 jobs, 2.0 h" in cost.tell(results)
    Rates(config)


def test_a_plan_goes_by_the_repaired_snakemake():
    """The repairs take a function of this project for one that is mended, so they come before the plan's own."""
    code = "from fairdream.cli import plan; plan._look_at_all_params(); from snakemake.dag import DAG; "
    code += "found = DAG.update_needrun; "
    code += "print(found.__module__, *(cell.cell_contents.__module__ for cell in found.__closure__))"
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["fairdream.cli.plan", "fairdream.runtime.snakemake_patches"]
