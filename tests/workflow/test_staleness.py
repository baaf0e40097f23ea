"""What to edit, and what runs again: each row of the table in docs/edits.md is a case here, and each case is an edit.

The finished run is the smallest configuration: two biases, every method, one seed. `-n` counts jobs by rule.
"""

import os
import re
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import psutil
import pytest
import yaml
from conftest import ROOT, Job, jobs_in, needs_models, run_snakemake
from PIL import Image

from fairdream.planning.plan import adapter_method

pytestmark = [needs_models, pytest.mark.slow]

# The rows with synthetic images: those filtered by CLIP score (FFR's are not), with adapters, and with a token.
SYNTHETIC = frozenset({"ffr", "vanilla", "lora", "dreambooth", "clustered_dreambooth", "dreambooth_mirrored"})
FILTERED = SYNTHETIC - {"ffr"}
ADAPTED = FILTERED - {"vanilla"}
TOKEN = ADAPTED - {"lora"}


class Case(NamedTuple):
    """An edit, and the jobs that a dry run then lists.

    `label` and `words` are the row of the table; a case without words is no row of its own.
    """

    label: str
    words: str
    edit: Callable[[Path], None]
    jobs: dict[str, int]
    methods: frozenset[str] = frozenset()


# ---- Edits


def config(change: Callable[[dict], object]) -> Callable[[Path], None]:
    """Return an edit of the configuration."""

    def edit(project: Path) -> None:
        path = project / "config.yaml"
        values = yaml.safe_load(path.read_text())
        change(values)
        path.write_text(yaml.safe_dump(values, sort_keys=False))

    return edit


def value(keys: str, new: object) -> Callable[[Path], None]:
    """Return an edit of one value, named by its dotted keys."""

    def change(values: dict) -> None:
        *way, last = keys.split(".")
        for key in way:
            values = values.setdefault(key, {})
        assert values.get(last) != new
        values[last] = new

    return config(change)


def text(file: str, old: str, new: str) -> Callable[[Path], None]:
    def edit(project: Path) -> None:
        before = (project / file).read_text()
        assert old in before, f"{file} has no {old!r}"
        (project / file).write_text(before.replace(old, new, 1))

    return edit


def code(file: str) -> Callable[[Path], None]:
    """Return an edit of a module's logic: one statement more."""
    return lambda project: (project / file).write_text((project / file).read_text() + "\nEDITED = True\n")


def pin(library: str) -> Callable[[Path], None]:
    return text("requirements.lock", f"\n{library}==", f"\n{library}==9")


def reorder(project: Path) -> None:
    path = project / "config.yaml"
    values = yaml.safe_load(path.read_text())
    path.write_text("# a comment\n" + yaml.safe_dump(values, sort_keys=True))


def training_image(project: Path, group: str) -> Path:
    index = pd.read_parquet(project / "results/waterdigits/index.parquet")
    row = index[(index["split"] == "train") & (index["label"] + "-" + index["attribute"] == group)].iloc[0]
    return project / row["folder"] / row["path"]


def repaint(project: Path) -> None:
    path = training_image(project, "even-land")
    Image.new("RGB", Image.open(path).size, (200, 30, 30)).save(path)


def touch(*files: str) -> Callable[[Path], None]:
    return lambda project: [os.utime(project / file) for file in files] and None


def touch_image(project: Path) -> None:
    os.utime(training_image(project, "even-land"))


def other_weights(file: str) -> Callable[[Path], None]:
    """Return an edit of a model in its place: the last number, so that the size and the form stay."""

    def edit(project: Path) -> None:
        content = bytearray((project / file).read_bytes())
        content[-1] ^= 1
        (project / file).write_bytes(content)

    return edit


def touch_models(project: Path) -> None:
    for file in (project / "resources").rglob("*"):
        os.utime(file)


def another_data_set(project: Path) -> None:
    """The digits once more, as a user's own data set."""
    shutil.copytree(project / "results/data/waterdigits", project / "data/mine")

    def change(values: dict) -> None:
        own = dict(values["datasets"]["waterdigits"], folder="data/mine", origin="a copy")
        values["datasets"]["mine"] = own

    config(change)(project)


# ---- What follows what
#
# 11 rows at 0.999 and 10 at the original bias, where the mirrored one does not exist: 21 classifiers. DFR's two share
# ERM's stage 1. Adapters: 4 groups at the original bias, 2 at 0.999; twice as many with two clusters: 24.
# Shards of images: vanilla SD and FFR 4 each for all biases, LoRA and DreamBooth 8 each, clusters 16, mirrored 4: 44.


def classifiers(count: int, **jobs: int) -> dict[str, int]:
    """Return the jobs of `count` classifiers, and the table."""
    return {"pretrain": count, "retrain": count, "evaluate": count, "tabulate": 1, **jobs}


def stage_2(count: int) -> dict[str, int]:
    return {"retrain": count, "evaluate": count, "tabulate": 1}


def images(shards: int, scored: int, rows: int, **jobs: int) -> dict[str, int]:
    """Return the jobs of `shards` new shards, of which `scored` pass the CLIP filter, and of the rows they are for."""
    return classifiers(rows, generate=shards, score=scored, select=rows, **jobs)


ALL_STAGE_1 = {**stage_2(21), "pretrain": 19}

CASES = [
    Case("`tables`", "the table", value("tables.mark_all_rows", True), {"tabulate": 1}),
    Case(
        "`retrain`",
        "stage 2 (ERM has none), tests, table",
        value("retrain.learning_rate", 0.002),
        stage_2(11),
        SYNTHETIC,
    ),
    Case(
        "`retrain.overrides`: `{llr_all: …}`",
        "stage 2 of that recipe",
        value("retrain.overrides", {"llr_all": {"learning_rate": 0.002}}),
        stage_2(9),
        FILTERED,
    ),
    Case(
        "`pretrain`",
        "stage 1 and all after it; not where a method's override says otherwise",
        value("pretrain.weight_decay", 0.002),
        ALL_STAGE_1,
    ),
    Case(
        "`baselines.gdro`, `self`, `dfr`, `jtt`, `afr`, `hsfm`, `dfr_synthetic`",
        "that baseline",
        value("baselines.gdro.step_size", 0.02),
        classifiers(2),
        frozenset({"gdro"}),
    ),
    Case("`baselines.self`", "", value("baselines.self.steps", 6), stage_2(2), frozenset({"self"})),
    # a recipe on ERM's stage 1
    Case("`baselines.dfr`", "", value("baselines.dfr.refits", 3), stage_2(2), frozenset({"erm"})),
    Case("`baselines.jtt`", "", value("baselines.jtt.upweight", 20), classifiers(2), frozenset({"jtt"})),
    Case(
        "`baselines.grey_distance`",
        "",
        value("baselines.grey_distance", 3.0),
        classifiers(2, select=2),
        frozenset({"ffr"}),
    ),
    Case(
        "`prompts.ffr`",
        "FFR's images and all after them",
        value("datasets.waterdigits.prompts.ffr.template", "a {label} {attribute}"),
        images(4, 0, 2),
        frozenset({"ffr"}),
    ),
    Case(
        "`ablations`",
        "the table of ablations, and classifiers that are not there yet; images only for `clusters`",
        value("ablations.alphas", [0.0, 0.5]),
        {},
    ),
    Case(
        "`generator_seeds`: one more",
        "a second set of adapters and images, with their classifiers",
        value("generator_seeds", [0, 1]),
        images(44, 40, 11, finetune=24, subjects=6),
    ),
    Case("`seeds`: one more", "the classifiers of the new seed, table", value("seeds", [0, 1]), ALL_STAGE_1),
    Case(
        "`select.alpha`",
        "selection and all after it at the biases where it holds; no image is generated or scored",
        value("select.alpha", 0.25),
        classifiers(4, select=4),
        FILTERED - {"dreambooth_mirrored"},
    ),
    Case(
        "`select.fraction`",
        "selection and all after it",
        value("select.fraction", 0.5),
        classifiers(9, select=9),
        FILTERED,
    ),
    Case(
        "`select.drop_copies`",
        "the search for near copies, and classifiers without them beside those that are there",
        value("select.drop_copies", True),
        classifiers(11, distinct=11, copies=11, thumbnails=1, score=4),
    ),
    Case("`audits`", "", value("audits", {"copy_quantile": 0.9}), {}),
    Case(
        "`prompts.clip_label`",
        "scoring and all after it",
        value("datasets.waterdigits.prompts.clip_label", "a {label}"),
        classifiers(9, select=9, score=40),
        FILTERED,
    ),
    Case(
        "`generate.guidance_scale`, `scheduler`, …",
        "images and all after them; adapters stay",
        value("generate.guidance_scale", 3.0),
        images(44, 40, 11),
        SYNTHETIC,
    ),
    Case("`generate.shard_size`", "", value("generate.shard_size", 2), images(144, 128, 11), SYNTHETIC),
    Case(
        "`generate.adapter_scale`",
        "the same, without vanilla SD",
        value("generate.adapter_scale", 0.5),
        images(36, 36, 7),
        ADAPTED,
    ),
    Case(
        "`generate.images_per_group`: more",
        "new shards; a subject's last shard too, if it was not full; selection and all after it",
        value("generate.images_per_group", 8),
        images(36, 32, 11),
        SYNTHETIC,
    ),
    Case(
        "`finetune`",
        "adapters and all after them; not vanilla SD, not ERM",
        value("finetune.learning_rate", 0.002),
        images(36, 36, 7, finetune=24),
        ADAPTED,
    ),
    Case(
        "`finetune.overrides`: `{lora@waterdigits: …}`",
        "LoRA's adapters on that data set, and all after them",
        value("finetune.overrides", {"lora@waterdigits": {"learning_rate": 0.002}}),
        images(8, 8, 2, finetune=6),
        frozenset({"lora"}),
    ),
    Case(
        "`prompts.subject`",
        "the adapters and images of methods with a token",
        value("datasets.waterdigits.prompts.subject", "a {token} {label}"),
        images(28, 28, 5, finetune=18),
        TOKEN,
    ),
    Case(
        "`clusters` of a data set",
        "Clustered DreamBooth",
        value("datasets.waterdigits.clusters", 1),
        images(8, 8, 2, finetune=6, subjects=2),
        frozenset({"clustered_dreambooth"}),
    ),
    Case(
        "`methods`: one more",
        "the new row's jobs, table",
        config(lambda values: values["methods"].append("lora_mirrored")),
        images(4, 4, 1),
        frozenset({"lora_mirrored"}),
    ),
    Case(
        "`methods`: last layers more",
        "",
        # on ERM's stage 1, one of them with images that are there; AFR's own stage 1 does not see all training images
        config(lambda values: values["methods"].extend(["afr", "hsfm", "dfr_synthetic"])),
        {**stage_2(6), "hold_back": 2, "pretrain": 2},
        frozenset({"erm", "afr"}),
    ),
    Case("`methods`: one less", "", config(lambda values: values["methods"].remove("vanilla")), {"tabulate": 1}),
    Case(
        "`biases`: one more",
        "the new bias's jobs, table; vanilla SD's images serve all biases",
        value("biases", ["original", 0.97, 0.999]),
        {
            "split": 1,
            "centroids": 1,
            "subjects": 3,
            "finetune": 16,
            "generate": 16,
            "score": 16,
            "select": 5,
            **stage_2(10),
            "pretrain": 9,
        },
    ),
    Case(
        "`datasets`: one more",
        "its jobs, table",
        another_data_set,
        {
            "manifest": 1,
            "index": 1,
            "embed": 1,
            "split": 2,
            "centroids": 2,
            "subjects": 6,
            "finetune": 24,
            "generate": 44,
            "score": 40,
            "select": 11,
            **ALL_STAGE_1,
        },
    ),
    Case(
        "one training image",
        "its embedding; the adapters that learn it, with their images; centroids, selections, classifiers",
        repaint,
        {
            "index": 1,
            "embed": 1,
            "split": 2,
            "centroids": 2,
            "subjects": 6,
            "finetune": 24,
            "generate": 36,
            "score": 36,
            "select": 9,
            **ALL_STAGE_1,
            "pretrain": 17,
        },
    ),
    Case(
        "the weights of a base model in their place",
        "adapters, all images and all after them; of a CLIP what is embedded and scored",
        other_weights("resources/tiny-sd/unet/diffusion_pytorch_model.safetensors"),
        images(44, 40, 11, finetune=24),
        SYNTHETIC,
    ),
    Case(
        "the weights of a CLIP in their place",
        "",
        other_weights("resources/tiny-clip/open_clip_model.safetensors"),
        images(16, 40, 9, embed=1, centroids=2, subjects=2, finetune=12),
    ),
    Case(
        "code of a stage",
        "the jobs whose script imports it, directly or not",
        code("src/fairdream/diffusion/finetune.py"),
        images(36, 36, 7, finetune=24),
        ADAPTED,
    ),
    Case("code of `select`", "", code("src/fairdream/curation/select.py"), classifiers(11, select=11), SYNTHETIC),
    Case("code of `score`", "", code("src/fairdream/curation/score.py"), classifiers(9, select=9, score=40), FILTERED),
    Case("code of `retrain`", "", code("src/fairdream/classification/retrain.py"), stage_2(21)),
    Case("code of `tabulate`", "", code("src/fairdream/reporting/tabulate.py"), {"tabulate": 1}),
    Case("code of `losses`, shared", "", code("src/fairdream/classification/losses.py"), ALL_STAGE_1),
    Case("code of `generate.py`", "", code("workflow/scripts/generate.py"), images(44, 40, 11), SYNTHETIC),
    Case(
        "a pin in `requirements.lock`",
        "the stages whose result that library decides (`peft`: adapters; `pandas`: none)",
        pin("peft"),
        images(36, 36, 7, finetune=24),
        ADAPTED,
    ),
    Case(
        "the pin of scikit-learn",
        "",
        pin("scikit-learn"),
        {
            "waterdigits": 1,
            "manifest": 1,
            "index": 1,
            "embed": 1,
            "split": 2,
            "centroids": 2,
            "subjects": 6,
            "finetune": 24,
            "generate": 36,
            "score": 36,
            "select": 9,
            **ALL_STAGE_1,
            "pretrain": 17,
        },
    ),
    Case("the pin of pandas", "", pin("pandas"), {}),
    Case(
        "`seed`",
        "everything",
        value("seed", 1),
        {
            "waterdigits": 1,
            "manifest": 1,
            "index": 1,
            "embed": 1,
            "split": 2,
            "centroids": 2,
            "subjects": 6,
            "finetune": 24,
            "generate": 44,
            "score": 40,
            "select": 11,
            **ALL_STAGE_1,
        },
    ),
    Case(
        "a comment, a docstring, the time stamp of an image or of a model, `origin`",
        "nothing",
        text("src/fairdream/diffusion/finetune.py", "\nimport json", "\n# a comment\nimport json"),
        {},
    ),
    Case(
        "a docstring", "", text("src/fairdream/diffusion/finetune.py", '"""Fine-tuning: LoRA', '"""Training: LoRA'), {}
    ),
    Case("an image's time stamp", "", touch_image, {}),
    Case("models' time stamps", "", touch_models, {}),
    Case(
        "scripts' time stamps",
        "",
        touch("workflow/scripts/finetune.py", "src/fairdream/diffusion/finetune.py", "config.yaml"),
        {},
    ),
    Case("`origin`", "", value("datasets.waterdigits.origin", "elsewhere"), {}),
    Case("the order of keys", "", reorder, {}),
    Case(
        "a profile",
        "",
        text("profiles/default/config.yaml", "rerun-incomplete: true", "rerun-incomplete: true\nlatency-wait: 9"),
        {},
    ),
    Case("the version of FairDream", "", text("src/fairdream/__init__.py", '__version__ = "', '__version__ = "9.'), {}),
    Case("the image that containers run in", "", text("Snakefile", "fairdream.sif", "other.sif"), {}),
    Case("an environment's file", "", text("envs/diffusion.yaml", "\nchannels:", "\n# another word\nchannels:"), {}),
    Case("a rule's batch size", "", text("rules/generate.smk", "batch=16", "batch=4"), {}),
]


# ---- The tests


def id_of(case: Case) -> str:
    return re.sub(r"[`:,…{}]", "", case.label).replace(" ", "_")


@pytest.mark.parametrize("case", CASES, ids=id_of)
def test_an_edit_runs_exactly_what_it_made_stale(rerun, case):
    project, jobs = rerun
    case.edit(project)
    found = jobs()
    assert Counter(job.rule for job in found) == Counter(case.jobs)
    if case.methods:
        assert {job.wildcards["method"] for job in found if job.rule != "tabulate"} == case.methods


# ---- Data, whose changes are known behind the checkpoint of the subjects: runs, not dry runs


def remove_image(project: Path) -> None:
    table, path = metadata(project), training_image(project, "even-land").name
    kept = table[table["path"].map(lambda name: Path(name).name) != path]
    assert len(kept) == len(table) - 1
    kept.to_csv(project / "results/data/waterdigits/metadata.csv", index=False)
    config(lambda values: count_of(values).update({"even-land": count_of(values)["even-land"] - 1}))(project)


def add_image(project: Path) -> None:
    table, path = metadata(project), training_image(project, "even-land")
    (row,) = table[table["path"].map(lambda name: Path(name).name) == path.name].to_dict("records")
    Image.open(path).transpose(Image.Transpose.ROTATE_180).save(path.with_name("added.png"))
    row["path"] = str(Path(row["path"]).with_name("added.png"))
    more = pd.concat([table, pd.DataFrame([row])], ignore_index=True)
    more.to_csv(project / "results/data/waterdigits/metadata.csv", index=False)
    config(lambda values: count_of(values).update({"even-land": count_of(values)["even-land"] + 1}))(project)


def metadata(project: Path) -> pd.DataFrame:
    return pd.read_csv(project / "results/data/waterdigits/metadata.csv")


def count_of(values: dict) -> dict:
    return values["datasets"]["waterdigits"]["train_counts"]


def members(project: Path) -> dict[tuple[str, str, str], str]:
    """The images of each subject, by bias, method and subject."""
    files = [path for path in project.glob("results/waterdigits/*/*/subjects/*.json") if path.stem != "index"]
    return {(path.parts[-4], path.parts[-3], path.stem): path.read_text() for path in files}


@pytest.mark.parametrize("edit", [repaint, remove_image, add_image], ids=lambda edit: edit.__name__)
def test_an_edit_of_the_data_trains_the_adapters_that_learn_it(rerun, edit):
    project, jobs = rerun
    before = members(project)
    edit(project)
    assert Counter(job.rule for job in jobs())["finetune"] == 24, "a dry run tells the most"
    done = run_snakemake(project, "--until", "generate", warm=True, timeout=900)
    assert done.returncode == 0, done.stdout[-4000:]
    after = members(project)
    changed = {subject for subject in after if after[subject] != before[subject]}
    names = [job.wildcards for job in jobs_in(done.stdout) if job.rule == "finetune"]
    assert {(name["bias"], name["method"], name["subject"]) for name in names} == changed
    # LoRA's samples are of the smallest trained group's size, at 0.999 that of even-land: then odd-water's shrinks too
    assert {subject.partition("-c0")[0] for _, _, subject in changed} in ({"even-land"}, {"even-land", "odd-water"})
    assert {bias for bias, _, subject in changed if subject.startswith("odd-water")} <= {"0.999"}
    # in the same run, only what these adapters draw, also for a method that draws with another's
    drawn = [job.wildcards for job in jobs_in(done.stdout) if job.rule == "generate"]
    adapters = {(name["bias"], adapter_method(name["method"]), name["subject"]) for name in drawn}
    assert adapters == changed
    assert [job.rule for job in jobs() if job.rule in {"finetune", "generate"}] == []


@contextmanager
def killed(project: Path, script: str) -> Iterator[None]:
    """Kill every job of the script that starts meanwhile."""
    over = threading.Event()

    def kill() -> None:
        while not over.wait(0.1):
            for process in psutil.process_iter(["cmdline", "cwd"]):
                if process.info["cwd"] == str(project) and f".{script}.py" in " ".join(process.info["cmdline"]):
                    with suppress(psutil.NoSuchProcess):
                        process.kill()

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize(
    ("edit", "count"),
    [(repaint, 6), (value("finetune.overrides.lora.learning_rate", 2e-3), 6)],
    ids=["data", "configuration"],
)
def test_adapters_whose_training_failed_are_trained_by_the_next_run_and_their_images_drawn(rerun, edit, count):
    """Images, scores and tables of before are all there: only the adapters are not."""
    project, jobs = rerun
    edit(project)
    with killed(project, "finetune"):
        failed = run_snakemake(project, "--until", "generate", "--keep-going", timeout=900)
    assert failed.returncode != 0

    def adapters(found: set[Job], rule: str) -> set[tuple[str, str, str]]:
        names = [job.wildcards for job in found if job.rule == rule]
        return {(name["bias"], adapter_method(name["method"]), name["subject"]) for name in names}

    tried = adapters(jobs_in(failed.stdout), "finetune")
    assert len(tried) == count
    left = jobs()
    assert adapters(left, "finetune") == adapters(left, "generate") == tried


# What Snakemake asks these programs before it plans; a dry run makes no environment.
STAND_INS = {
    "conda": """case "$*" in
        --version) echo conda 24.11.1 ;;
        *channel_priority*) echo '{"get": {"channel_priority": "strict"}}' ;;
        "info --json")
            echo '{"conda_version": "24.11.1", "conda_prefix": "/opt/conda", "platform": "linux-64", "envs": []}' ;;
        *) exit 1 ;;
    esac""",
    "apptainer": """[ "$*" = --version ] && echo apptainer version 1.3.4""",
}


@pytest.mark.parametrize("method", STAND_INS)
def test_a_finished_run_that_is_switched_to_another_deployment_runs_nothing_again(rerun, tmp_path, method, monkeypatch):
    project, jobs = rerun
    program = tmp_path / "bin" / method
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{STAND_INS[method]}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    text(
        "profiles/default/config.yaml",
        "rerun-incomplete: true",
        f"rerun-incomplete: true\nsoftware-deployment-method: {method}",
    )(project)
    assert jobs() == set()
    # and the switch is real: without the program Snakemake would refuse it
    program.write_text("#!/bin/sh\nexit 1\n")
    refused = run_snakemake(project, "-n", timeout=120)
    assert refused.returncode != 0
    assert "WorkflowError" in refused.stdout


def test_the_table_of_the_documents_is_these_cases(tell):
    """In order, each row a case that was seen to run what it says."""
    tell(f"staleness: {len(CASES)} edits of code and configuration, 3 of data, 2 switches of the deployment")
    rows = "\n".join(f"| {case.label} | {case.words} |" for case in CASES if case.words)
    assert (ROOT / "docs/edits.md").read_text().endswith(f"| you edit | what runs again |\n|---|---|\n{rows}\n")
