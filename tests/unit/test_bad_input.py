"""Wrong configurations and tables: what is planted, the words of the message, the exit. No row shows a traceback.

Images, damaged files, models, archives and commands stand in test_bad_files.py; what only a whole workflow can show in
tests/workflow/test_refusals.py.
"""

import copy
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from PIL import Image
from refusals import ROOT, Table, check

from fairdream.cli.runs import Run
from fairdream.config.datasets import Source
from fairdream.config.root import load_config, validate_config
from fairdream.data.index import index
from fairdream.data.manifest import write_manifest
from fairdream.planning import job_inputs, missing_datasets, plan, preflight
from fairdream.planning.wildcards import ask

PAPER = yaml.safe_load((ROOT / "config.yaml").read_text())
BIRDS = "datasets.waterbirds."
CASES = Table()


# Configurations.


def edited(**values: Any) -> dict:
    """Return the paper's configuration with some values, each named by its whole key with __ for a point."""
    raw = copy.deepcopy(PAPER)
    for key, value in values.items():
        *parents, last = key.split("__")
        section = raw
        for name in parents:
            section = section[name]
        section[last] = value
    return raw


def config(name: str, *words: str, **values: Any) -> None:
    """Add a row: a configuration file with a wrong value."""

    @CASES.add(name, *words)
    def plant(folder: Path) -> Callable:
        path = folder / "config.yaml"
        path.write_text(yaml.safe_dump(edited(**values)))
        return lambda: plan.check_plan(load_config(path))


def config_text(name: str, content: bytes, *words: str) -> None:
    """Add a row: a configuration file that cannot be read."""

    @CASES.add(name, *words)
    def plant(folder: Path) -> Callable:
        (folder / "config.yaml").write_bytes(content)
        return lambda: load_config(folder / "config.yaml")


config("a key with a typing error", "unknown key", "finetune.learnig_rate", finetune__learnig_rate=0.1)
config("a number that YAML reads as text", "is text to YAML", "'1e-4'", "1.0e-4", finetune__learning_rate="1e-4")
config("an infinite number", "finite number", "finetune.learning_rate: inf", finetune__learning_rate=float("inf"))
config(
    "labels yes and no without quotes",
    "is no text to YAML; write it in quotes",
    BIRDS + "labels",
    "True",
    datasets__waterbirds__labels={True: "a bird", False: "none"},
)
config(
    "labels 0 and 1 without quotes",
    "is no text to YAML; write it in quotes",
    "the name 0",
    datasets__waterbirds__labels={0: "zero", 1: "one"},
)
config(
    "values on and off without quotes",
    "write it in quotes, as it is written in the table",
    BIRDS + "label_values.landbird: False",
    datasets__waterbirds__label_values={"landbird": False, "waterbird": True},
)
config(
    "values 0.0 and 1.0 without quotes",
    "write it in quotes, as it is written in the table",
    BIRDS + "label_values.waterbird: 1.0",
    datasets__waterbirds__label_values={"landbird": 0.0, "waterbird": 1.0},
)
config(
    "two names for one value",
    "two names stand for the same value",
    "datasets.waterbirds: attribute_values",
    datasets__waterbirds__attribute_values={"land": 1, "water": "1"},
)
config(
    "a prompt with a typing error",
    "is nothing that can be filled in here",
    BIRDS + "prompts.group",
    "{labl}",
    "allowed: {label}, {attribute}",
    datasets__waterbirds__prompts__group="photo of a {labl}",
)
config(
    "a prompt that reads an object's inside",
    "is nothing that can be filled in here",
    "{label.__class__}",
    datasets__waterbirds__prompts__clip_label="Photo of a {label.__class__}",
)
config(
    "a token where none is learnt",
    "is nothing that can be filled in here",
    "{token}",
    datasets__waterbirds__prompts__swapped="photo of a {token} {label}",
)
config(
    "overrides for a data set that is not there",
    "correct the name, or remove these values",
    "pretrain.overrides.gdro@celebra, baselines.jtt.overrides.celebra: celebra is no data set",
    "(celeba, utkface, waterbirds)",
    pretrain__overrides={"gdro@celebra": {"epochs": 3}},
    baselines__jtt__overrides={"celebra": {"first": 0.5}},
)
config(
    "an override for a method that does not exist",
    "correct the name, or remove these values",
    "pretrain.overrides.gdor@celeba: gdor is no method (erm, ",
    pretrain__overrides={"gdor@celeba": {"epochs": 3}},
)
config(
    "an override for a method or for a data set of its name",
    "rename the data set",
    "finetune.overrides.lora: a method and a data set have this name",
    datasets__lora=PAPER["datasets"]["waterbirds"],
    finetune__overrides={"lora": {"steps": 3}},
)
config("a lone brace", "write {{ and }}", "prompts.subject", datasets__waterbirds__prompts__subject="a {token} {")
NO_WORDS = "write words that a prompt can say"
config(
    "a class of no words",
    NO_WORDS,
    BIRDS + "labels.landbird: ''",
    datasets__waterbirds__labels={"landbird": "", "waterbird": "duck"},
)
config(
    "an attribute of no words",
    NO_WORDS,
    BIRDS + "attributes.land: ' '",
    datasets__waterbirds__attributes={"land": " ", "water": "sea"},
)
config("a token of nothing", NO_WORDS, "finetune.token: ' '", finetune__token=" ")
config(
    "weights of a network that has none",
    "small_cnn has no pretrained weights",
    "models.encoder",
    "weights: null",
    models__encoder__name="small_cnn",
)


@CASES.add("a prompt without the token that it is learnt by", "put {token} into it", BIRDS + "prompts.subject: ")
def _(folder: Path) -> Callable:
    raw = edited(datasets__waterbirds__prompts__subject="photo of a {label}")
    return lambda: preflight.check(validate_config(raw))


@CASES.add("a token that is a class's word", "calls a class or an attribute", "finetune.token: 'waterbird'")
def _(folder: Path) -> Callable:
    raw = edited(finetune__token="waterbird")
    return lambda: preflight.check(validate_config(raw))


@CASES.add("a hub's cache for a model", "no diffusers model here", "the folder below it that has one: ", "snapshots/0f")
def _(folder: Path) -> Callable:
    (folder / "models--sd/snapshots/0f").mkdir(parents=True)
    (folder / "models--sd/snapshots/0f/model_index.json").write_text("{}")
    raw = edited(models__diffusion={"id": str(folder / "models--sd")})
    return lambda: preflight.check(validate_config(raw))


@CASES.add(
    "weights fetched into a model's folder", "is inside the model's own folder", "models.folder: ", "clip/models"
)
def _(folder: Path) -> Callable:
    (folder / "clip").mkdir()
    clip = {"name": f"local-dir:{folder / 'clip'}"}
    raw = edited(models__folder=str(folder / "clip/models"), models__clip=clip)
    return lambda: preflight.check(validate_config(raw))


config("a results folder with braces", "a folder needs a name", "results: 'out{1}'", results="out{1}")
config("a results folder with a line break", "a folder needs a name", "results", results="two\nlines")
config("an empty folder name", "a folder needs a name", BIRDS + "folder: ''", datasets__waterbirds__folder="")
config("a home folder that nothing expands", "a folder needs a name", "'~/runs'", results="~/runs")
config(
    "a group of less than no image",
    "greater than or equal to 0",
    BIRDS + "train_counts.landbird-land: -1",
    **{"datasets__waterbirds__train_counts__landbird-land": -1},
)
config(
    "groups of one image in clusters",
    "training images at bias",
    "group landbird-land has 1",
    "lower datasets.waterbirds.clusters or raise swap.min_images_for_own_model",
    datasets__waterbirds__clusters=2,
    datasets__waterbirds__train_counts=dict.fromkeys(PAPER["datasets"]["waterbirds"]["train_counts"], 1),
)
config("a selection of nothing", "is no image at all", "select.fraction: 0 of", select__fraction=0.0)
config(
    "an image of one pixel for the classifier", "greater than or equal to 8", "image_size: 1", pretrain__image_size=1
)
config("a resolution that the VAE cannot halve", "multiple of 8", "finetune.resolution: 500", finetune__resolution=500)
config(
    "an address of another kind", "should match pattern", "ftp://", datasets__waterbirds__download={"url": "ftp://a/b"}
)
config_text("a configuration in another encoding", "seed: caf\xe9".encode("latin1"), "this is not valid YAML", "0xe9")
config_text("an open bracket", b"seeds: [0, 1\nseed: 1\n", "this is not valid YAML", "line 2")
config_text("a key twice", b"seed: 1\nseed: 2\n", "stands twice, again in line", "'seed'", "line 2")
config_text("a list for a key", b"? [a, b]\n: c\n", "this is not valid YAML", "unhashable key")
config_text(
    "YAML that calls Python", b"a: !!python/object/apply:os.system [id]\n", "this is not valid YAML", "os.system"
)
config_text("a date that is none", b"a: 1\nresults: 2024-13-01\n", "this is not valid YAML", "line 2: '2024-13-01'")
config_text(
    "half of a character", b'results: "\\ud800"\n', "this is not valid YAML", "line 1", "surrogates not allowed"
)
config_text("a set that is a list", b"a: !!set [b]\n", "this is not valid YAML", "expected a mapping node")
config_text("lists in lists without end", b"- " * 2000, "this is not valid YAML", "recursion")
config_text("an empty configuration", b"", "expected sections with keys and values", "config.yaml")


@CASES.add("a configuration that is a folder", "cannot read the configuration", "Is a directory")
def _(folder: Path) -> Callable:
    return lambda: load_config(folder)


def at_the_start(name: str, *words: str, **values: Any) -> None:
    """Add a row: what is looked up, computed or measured where a run starts."""

    @CASES.add(name, *words)
    def plant(folder: Path) -> Callable:
        return lambda: preflight.check(validate_config(edited(**values)))


LONG = " ".join(["very"] * 280)


for row in ("self", "dfr", "afr", "hsfm"):
    at_the_start(
        f"{row} without a validation image",
        "needs validation images, and",
        f"methods: {row}",
        "datasets.waterbirds has none; give it held_out.validation",
        methods=["erm", row],
        datasets__waterbirds__split_values={"train": 0, "test": 2},
    )
for row, words in (
    ("erm", "generates no images of its own"),
    ("clustered_dreambooth_gdro", "generates no images of its own"),
    ("lora", "is none of methods"),
    ("lora_mirrored", "at bias original; name another row"),
):
    at_the_start(
        f"a last layer on synthetic images of {row}",
        words,
        "baselines.dfr_synthetic.images_of",
        row,
        methods=["erm", "dfr_synthetic", *(["lora_mirrored"] if "mirrored" in row else [])],
        baselines__dfr_synthetic={"images_of": row},
    )
at_the_start(
    "a lone attribute",
    "attributes: give two or more",
    "datasets.waterbirds",
    "`unknown` alone",
    datasets__waterbirds__attributes={"land": "on land"},
)
at_the_start(
    "one word for two values",
    "give words that are of this value alone",
    "datasets.waterbirds.inference: words.water: 'On  land' is said of land too",
    datasets__waterbirds__inference={"words": {"land": ["on land"], "water": ["On  land"]}},
)
at_the_start(
    "words of an inference that are cut",
    "would cut off",
    "datasets.waterbirds.inference: land: 'photo of a landbird, very very",
    "CLIP ViT-L-14",
    datasets__waterbirds__inference={"words": {"land": [f"{LONG} dry"], "water": ["on water"]}},
)
at_the_start(
    "a template without the attribute",
    "so it says the same of every value",
    "datasets.waterbirds.inference: templates: 'photo of a {label}'",
    datasets__waterbirds__inference={"templates": ["{attribute}", "photo of a {label}"]},
)
at_the_start(
    "a scheduler with a typing error",
    "diffusers has no",
    "DDMScheduler",
    "DDIMScheduler",
    generate__scheduler="DDMScheduler",
)
at_the_start(
    "a layer with a typing error",
    "diffusers' layers have no",
    "to_kk",
    "they have to_k",
    finetune__target_modules=["to_q", "to_kk"],
)
at_the_start(
    "an encoder with a typing error", "torchvision has no", "resnet5O", "resnet50", models__encoder__name="resnet5O"
)
at_the_start("a CLIP with a typing error", "open_clip has no", "ViT-L-41", "ViT-L-14", models__clip__name="ViT-L-41")

at_the_start("a CLIP with a slash", "open_clip has no", "ViT-L/14", "ViT-L-14", models__clip__name="ViT-L/14")

# Noise.

at_the_start(
    "steps that begin where a part of the image should be left",
    "so the images would be pale",
    "generate.num_inference_steps: 501 steps of DDIMScheduler (leading spacing): they begin at timestep 501",
    "take 500, or take 791, or timestep_spacing: trailing",
    generate__num_inference_steps=501,
)
at_the_start(
    "a step beyond the base model's last",
    "and the base model's last is",
    "1000",
    "take 999",
    generate__num_inference_steps=1000,
)
at_the_start(
    "a timestep too many",
    "diffusers makes",
    "62 of them, the last at timestep -1; take 60, or take 62",
    generate__num_inference_steps=61,
    generate__timestep_spacing="trailing",
)
at_the_start(
    "two steps at one timestep",
    "at the same timestep",
    "UniPCMultistepScheduler (linspace spacing)",
    generate__num_inference_steps=1000,
    generate__scheduler="UniPCMultistepScheduler",
)
at_the_start(
    "more steps than a scheduler takes",
    "it takes",
    "51 steps of LCMScheduler",
    "1 to 50; take 50",
    generate__num_inference_steps=51,
    generate__scheduler="LCMScheduler",
)
at_the_start(
    "a scheduler for flow matching",
    "generates nothing usable with a Stable Diffusion",
    "FlowMatchEulerDiscreteScheduler",
    "DDIMScheduler, DDPMParallelScheduler",
    generate__scheduler="FlowMatchEulerDiscreteScheduler",
)
at_the_start(
    "a spacing for a scheduler that has one way alone",
    "does not listen to it",
    "DPMSolverSinglestepScheduler",
    "leading",
    generate__timestep_spacing="leading",
    generate__scheduler="DPMSolverSinglestepScheduler",
)


@CASES.add(
    "a scheduler's file that is cut off", "cannot be read as a scheduler's configuration", "scheduler_config.json"
)
def _(folder: Path) -> Callable:
    (folder / "scheduler").mkdir()
    (folder / "scheduler/scheduler_config.json").write_text('{"beta_end": ')
    raw = edited(models__diffusion={"id": str(folder)})
    return lambda: preflight.check(validate_config(raw))


@CASES.add(
    "noise levels that a scheduler does not know", "does not listen to rescale_betas_zero_snr", "HeunDiscreteScheduler"
)
def _(folder: Path) -> Callable:
    (folder / "scheduler").mkdir()
    (folder / "scheduler/scheduler_config.json").write_text('{"rescale_betas_zero_snr": true}')
    raw = edited(models__diffusion={"id": str(folder)}, generate__scheduler="HeunDiscreteScheduler")
    return lambda: preflight.check(validate_config(raw))


# Prompts.

at_the_start(
    "a prompt that is cut before its attribute",
    "would cut off",
    "datasets.waterbirds.prompts.group: 'photo of a landbird, very very",
    "on land'; shorten it",
    "reads 77",
    datasets__waterbirds__prompts__group=f"photo of a {{label}}, {LONG}, on {{attribute}}",
)
at_the_start(
    "a prompt that does not tell two groups apart",
    "so their images would show the same",
    "datasets.waterbirds.prompts.group: 'photo of a landbird'",
    "landbird-land and landbird-water of vanilla",
    datasets__waterbirds__prompts__group="photo of a {label}",
)
at_the_start(
    "a CLIP-Label without its label",
    "so CLIP-Label cannot score one against the other",
    "datasets.waterbirds.prompts.clip_label: 'Photo of a bird'",
    "landbird and waterbird",
    datasets__waterbirds__prompts__clip_label="Photo of a bird",
)


@CASES.add("a wrong value on the command line", "--config: 1 value(s)", "seeds.0: 'x': Input should be a valid integer")
def _(folder: Path) -> Callable:
    given = {"seeds": ["x"]}
    return lambda: validate_config({**PAPER, **given}, "my.yaml", given)


# Targets.


def target(name: str, inputs: Callable, method: str, *words: str) -> None:
    """Add a row: a file that a method has not, asked for by its path."""

    @CASES.add(name, *words)
    def plant(folder: Path) -> Callable:
        names = {"dataset": "waterbirds", "bias": "original", "method": method}
        return lambda: ask(inputs, validate_config(PAPER), names)


target(
    "the card of adapters that a method takes from another",
    job_inputs.own_adapters,
    "dreambooth_mirrored",
    "has no adapters of its own",
    "dreambooth_mirrored",
    "but those of dreambooth.",
)
target(
    "the card of images of a method that draws none", job_inputs.images_beside_card, "erm", "generates no images", "erm"
)
target(
    "the card of images at a bias that they do not depend on",
    job_inputs.images_beside_card,
    "vanilla",
    "serve all biases: ask for",
    "waterbirds/any/vanilla/README.md",
)


@CASES.add("a target with a typing error", "no target of this name", "tabels", "the nearest: tables")
def _(folder: Path) -> Callable:
    return lambda: Run(("config.yaml",), "profiles/local").arguments("tabels")


@CASES.add("a target behind --config", "not of the form KEY=VALUE", "--config tables: ", "Targets come before")
def _(folder: Path) -> Callable:
    return lambda: Run(("config.yaml",), "profiles/local").arguments("--config", "seeds=[0]", "tables")


@CASES.add("data sets that are not there", "These data sets are missing:", "waterbirds: ", " not found. Get it: ")
def _(folder: Path) -> Callable:
    def run() -> None:
        os.chdir(folder)
        missing_datasets.check(validate_config(PAPER))

    return run


# Tables.

ROWS = [
    (f"{split}-{label}{attribute}.png", label, attribute, split)
    for split in ("train", "test")
    for label in ("0", "1")
    for attribute in ("0", "1")
]


def data(home: Path, rows: Any = ROWS, **values: Any) -> Callable:
    """Write a data set of one image per group and split; return what reads it, with some values of its section."""
    (home / "images").mkdir(exist_ok=True)
    for number, row in enumerate(ROWS):
        Image.new("RGB", (4, 4), (number, 0, 0)).save(home / "images" / row[0])
    pd.DataFrame(rows, columns=["path", "label", "attribute", "split"]).to_csv(home / "metadata.csv", index=False)
    own = {
        "folder": str(home),
        "images": "images",
        "tables": [{"file": "metadata.csv"}],
        "train_counts": {f"{y}-{a}": 1 for y in ("even", "odd") for a in ("land", "water")},
        "label_values": {"even": 0, "odd": 1},
        "attribute_values": {"land": 0, "water": 1},
        "split_values": {name: name for name in ("train", "validation", "test")},
    }
    source = Source(**(own | values))

    def read() -> None:
        write_manifest(str(home / "manifest.parquet"), source)
        index(str(home / "manifest.parquet"), str(home / "index.parquet"), source)

    return read


def test_the_data_set_that_the_rows_spoil_is_read(tmp_path):
    data(tmp_path)()
    assert pd.read_parquet(tmp_path / "index.parquet")["label"].tolist() == ["even", "even", "odd", "odd"] * 2


def table(name: str, *words: str, edit: Callable[[list], list]) -> None:
    """Add a row: a table with other rows."""
    CASES.add(name, *words)(lambda folder: data(folder, edit(copy.deepcopy(ROWS))))


def table_bytes(name: str, content: bytes, *words: str, file: str = "metadata.csv") -> None:
    """Add a row: a table of these bytes."""

    @CASES.add(name, *words, file)
    def plant(folder: Path) -> Callable:
        read = data(folder, tables=[{"file": file}])
        (folder / file).write_bytes(content)
        return read


def relabelled(label: str) -> Callable[[list], list]:
    return lambda rows: [*rows[:2], (rows[2][0], label, *rows[2][2:]), *rows[3:]]


for written in ("01", "1.0", "yes", "True", " 1"):
    table(
        f"a label written {written!r}",
        "; allowed: ",
        f"metadata.csv: row 4: label is {written!r}; allowed: 0, 1",
        edit=relabelled(written),
    )
table("an empty cell", "; allowed: ", "row 4: label is ''", edit=relabelled(""))
CELLS = {
    "an address": ("https://host/bucket/a.png?signature=" + "0f" * 150, "is an address, and images are not fetched"),
    "a short address": ("s3://bucket/a.png", "is an address, and images are not fetched"),
    "an image as text": ("data:image/png;base64," + "iVBO" * 100, "is an address, and images are not fetched"),
    "a name longer than any file's": ("a" * 300 + ".png", "a file's has 255 at most"),
    "a null character": ("a\0b.png", "has a null character in it"),
}
for kind, (cell, word) in CELLS.items():
    table(
        f"{kind} for a path",
        word,
        "metadata.csv: row 3: path: " + ascii(cell[:20])[:-1],
        edit=lambda rows, cell=cell: [rows[0], (cell, *rows[1][1:]), *rows[2:]],
    )
config(
    "a name that is a sentence",
    "at most 100 characters",
    BIRDS + "labels.nnn",
    datasets__waterbirds__labels={"n" * 101: "a bird", "none": "none"},
)
table("a row twice", "stands twice (rows", "train-10.png", "rows 4 and 10", edit=lambda rows: [*rows, rows[2]])
table("a group without rows", "differ from train_counts", "odd-land: 0 found, 1 stated", edit=lambda r: r[:2] + r[3:])
table(
    "an image that is not there",
    "image(s) of the table are missing",
    "gone.png (row 10 of metadata.csv)",
    edit=lambda rows: [*rows, ("gone.png", "0", "0", "train")],
)
table(
    "a path that is not as it stands below the folder",
    "not taken for an image of the data set",
    "images/../images/train-10.png (row 10",
    edit=lambda rows: [*rows, ("../images/train-10.png", "0", "0", "train")],
)
table_bytes("a table of no bytes", b"", "cannot be read as a table", "No columns")
table_bytes("a table in another encoding", "path,label\ncaf\xe9,0\n".encode("latin1"), "save it as UTF-8", "0xe9")
table_bytes("a table with an open quote", b'path,label\n"a,0\n', "cannot be read as a table", "EOF inside string")
table_bytes(
    "a row of a run's table with a mark too many",
    b"path,label,attribute,split\na.png,0,0,train,\n",
    "more cells than its first line has names",
    "(path, label, attribute, split)",
)
table_bytes(
    "a row of JSON Lines that is a list",
    b'{"path": "a.png"}\n["b.png"]\n',
    "cannot be read as a table",
    "line 2 is no object",
    file="metadata.jsonl",
)
table_bytes(
    "half of a character in JSON Lines",
    b'{"path": "\\ud800"}\n',
    "cannot be read as a table",
    "line 1",
    "surrogates not allowed",
    file="metadata.jsonl",
)
table_bytes("a table without its columns", b"path,class\na,0\n", "no column", "attribute", "it has path, class")
table_bytes("a Parquet table cut off", b"PAR1 and so on", "cannot be read as a table", file="metadata.parquet")


@CASES.add("a table that is not there", "not found", "labels.csv")
def _(folder: Path) -> Callable:
    return data(folder, tables=[{"file": "labels.csv"}])


@CASES.add("a data set's folder that is a file", "not found", "metadata.csv/inside")
def _(folder: Path) -> Callable:
    return data(folder, folder=str(folder / "metadata.csv/inside"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_message_and_the_exit(case, tmp_path):
    check(case, tmp_path)
