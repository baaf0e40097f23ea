"""Every wrong value is refused with its key, its value and what is allowed."""

import copy
from pathlib import Path

import pytest
import yaml

from fairdream.cli import runs
from fairdream.config.root import load_config, validate_config
from fairdream.errors import UserError

ROOT = Path(__file__).resolve().parents[3]
PAPER = yaml.safe_load((ROOT / "config.yaml").read_text())


@pytest.mark.parametrize("file", ["config.yaml", "config/demo.yaml", "tests/workflow/smallest.yaml"])
def test_the_shipped_configurations_load(file, monkeypatch):
    monkeypatch.chdir(ROOT)
    raw = yaml.safe_load(Path(file).read_text())
    if "revision" not in raw["models"]["diffusion"]:
        raw["models"]["diffusion"]["id"] = "./" + raw["models"]["diffusion"]["id"]
    assert validate_config(raw).methods


def put(raw, key, value):
    *parents, last = key.split(".")
    for name in parents:
        raw = raw[name]
    raw[last] = value


WRONG = [
    # key to change, wrong value, what the message must hold beside the key
    ("finetune.learnig_rate", 0.1, ["unknown key", "0.1"]),
    ("colour", "red", ["unknown key", "'red'"]),
    ("datasets.celeba.prompts.word", "x", ["unknown key", "'x'"]),
    ("finetune.learning_rate", "1e-4", ["'1e-4'", "text", "1.0e-4"]),
    ("pretrain.weight_decay", "1e-3", ["'1e-3'", "text"]),
    ("select.fraction", 1.5, ["1.5", "less than or equal to 1"]),
    ("select.alpha", -0.1, ["-0.1", "greater than or equal to 0"]),
    ("finetune.learning_rate", 0.0, ["0.0", "greater than 0"]),
    ("finetune.rank", 0, ["0", "greater than or equal to 1"]),
    ("finetune.rank", 4.5, ["4.5", "integer"]),
    ("finetune.rank", "4", ["'4'", "integer"]),
    ("pretrain.flip", "yes please", ["'yes please'", "boolean"]),
    ("swap.from_ratio", 0.4, ["0.4", "greater than 0.5"]),
    ("biases", ["original", 1.0], [": 1 value(s)", "1.0", "less than 1"]),
    ("biases", ["original", True], [": 1 value(s)", "True"]),
    ("biases", ["orginal"], [": 1 value(s)", "'orginal'", "'original'"]),
    ("methods", ["erm", "dreambooht"], ["'dreambooht'", "'clustered_dreambooth'", "'vanilla'"]),
    ("methods", [], ["[]", "at least 1"]),
    ("finetune.overrides", {"loar": {"steps": 3}}, ["loar", "lora"]),
    ("finetune.overrides", {"lora": {"step": 3}}, ["overrides.lora.step", "unknown key", "3"]),
    ("seeds", [0, 1, 1], ["[0, 1, 1]", "twice"]),
    ("seeds", [-1], ["-1", "greater than or equal to 0"]),
    ("seeds", "0 1 2", ["'0 1 2'", "list"]),
    ("retrain", {**PAPER["retrain"], "steps": 10}, ["exactly one of epochs and steps"]),
    ("models.diffusion", {"id": "CompVis/stable-diffusion-v1-4"}, ["revision", "40 hexadecimal"]),
    ("datasets.waterbirds.train_counts", {"landbird-land": 5}, ["landbird-water", "waterbird-land"]),
    ("datasets.waterbirds.train_counts.bird-land", 5, ["landbird-water", "waterbird-land"]),
    ("datasets.waterbirds.label_values", {"landbird": 0}, ["label_values", "waterbird"]),
    ("datasets.waterbirds.tables", [{"file": "a.csv", "split": None}], ["split", "exactly one table"]),
    ("datasets.waterbirds.labels", {"only": "one"}, ["at least 2"]),
    ("datasets.waterbirds.labels.water-bird", "x", ["water-bird"]),
    ("datasets.waterbirds.attributes", {"land": "on land"}, ["two or more", "`unknown` alone"]),
    ("datasets.waterbirds.inference", {"words": {"land": ["on land"]}}, ["at least 2"]),
    ("datasets.waterbirds.inference", {"templates": ["a {token}"]}, ["{token}", "{attribute}"]),
    (
        "datasets.waterbirds.inferred",
        {"by": "xrm", "true_test": False, "confidence": {"landbird-land": 0.5}},
        ["inferred.confidence", "waterbird-land"],
    ),
    ("select", 5, ["5"]),
]


@pytest.mark.parametrize(("key", "value", "words"), WRONG, ids=[f"{key}={value!r}"[:60] for key, value, _ in WRONG])
def test_a_wrong_value_is_named(key, value, words):
    raw = copy.deepcopy(PAPER)
    put(raw, key, value)
    with pytest.raises(UserError) as error:
        validate_config(raw, "my.yaml")
    message = str(error.value)
    assert message.startswith("my.yaml: ")
    # some values are wrong together only: then the section is told
    assert ".".join(key.split(".")[:2]) in message
    for word in words:
        assert word in message, message
    assert "pydantic" not in message


@pytest.mark.parametrize(
    "key", ["select.fraction", "seeds", "datasets.celeba.prompts", "models.encoder", "finetune.token"]
)
def test_a_missing_key_is_named(key):
    raw = copy.deepcopy(PAPER)
    *parents, last = key.split(".")
    section = raw
    for name in parents:
        section = section[name]
    del section[last]
    with pytest.raises(UserError, match=f"{key}: this key is missing"):
        validate_config(raw)


def test_all_mistakes_are_told_at_once_a_line_each():
    raw = copy.deepcopy(PAPER)
    put(raw, "select.fraction", 2.0)
    put(raw, "finetune.steps", 0)
    put(raw, "swap.colour", "red")
    with pytest.raises(UserError) as error:
        validate_config(raw)
    assert len(str(error.value).splitlines()) == 4


def test_neither_epochs_nor_steps():
    raw = copy.deepcopy(PAPER)
    del raw["pretrain"]["epochs"]
    with pytest.raises(UserError, match=r"pretrain.*exactly one of epochs and steps"):
        validate_config(raw)


def test_what_is_wrong_without_an_override_is_not_told_of_one():
    raw = copy.deepcopy(PAPER)
    raw["pretrain"] |= {"steps": 10, "overrides": {"ffr": {"batch_size": 8}}}
    with pytest.raises(UserError, match=r"1 value\(s\) to fix:\n  pretrain: give exactly one of epochs and steps$"):
        validate_config(raw)


def test_a_file_that_is_not_yaml_or_not_there_or_no_mapping(tmp_path):
    broken = tmp_path / "broken.yaml"
    broken.write_text("a: [1, 2\nb: 3\n")
    with pytest.raises(UserError, match=r"broken\.yaml: this is not valid YAML(?s:.*)line 2"):
        load_config(broken)
    with pytest.raises(UserError, match=r"absent\.yaml: cannot read the configuration: No such file"):
        load_config(tmp_path / "absent.yaml")
    empty = tmp_path / "empty.yaml"
    empty.write_text("")
    with pytest.raises(UserError, match="expected sections"):
        load_config(empty)


def test_a_number_that_yaml_reads_as_text_in_the_real_file(tmp_path):
    text = (ROOT / "config.yaml").read_text()
    assert "learning_rate: 1.0e-4" in text
    edited = tmp_path / "config.yaml"
    edited.write_text(text.replace("learning_rate: 1.0e-4", "learning_rate: 1e-4"))
    with pytest.raises(UserError, match=r"finetune\.learning_rate: '1e-4' is text to YAML"):
        load_config(edited)


def test_an_override_replaces_the_value_of_its_method_alone():
    raw = copy.deepcopy(PAPER)
    raw["finetune"]["overrides"] = {"lora": {"steps": 7}}
    finetune = validate_config(raw).finetune
    assert finetune.of("lora").steps == 7
    assert finetune.of("dreambooth").steps == PAPER["finetune"]["steps"]


def test_of_the_overrides_that_hold_the_most_particular_wins():
    raw = copy.deepcopy(PAPER)
    raw["retrain"] |= {"batch_size": 2, "weight_decay": 0.0}
    raw["retrain"]["overrides"] = {
        "ft_all@celeba": {"batch_size": 5, "steps": 7},
        "celeba": {"batch_size": 4, "learning_rate": 0.4},
        "ft_all": {"batch_size": 3, "learning_rate": 0.3, "weight_decay": 0.3, "epochs": 9},
    }
    retrain = validate_config(raw).retrain

    def values(recipe, dataset):
        own = retrain.of(recipe, dataset)
        return own.batch_size, own.learning_rate, own.weight_decay, own.epochs, own.steps

    assert values("llr_all", "utkface") == (2, PAPER["retrain"]["learning_rate"], 0.0, PAPER["retrain"]["epochs"], None)
    assert values("ft_all", "utkface") == (3, 0.3, 0.3, 9, None)
    assert values("llr_all", "celeba") == (4, 0.4, 0.0, PAPER["retrain"]["epochs"], None)
    assert values("ft_all", "celeba") == (5, 0.4, 0.3, None, 7)


@pytest.mark.parametrize("key", ["lora", "celeba", "lora@celeba"])
def test_a_wrong_value_in_an_override_is_refused(key):
    raw = copy.deepcopy(PAPER)
    raw["finetune"]["overrides"] = {key: {"learning_rate": "1e-4"}}
    with pytest.raises(UserError) as error:
        validate_config(raw)
    assert f"finetune.overrides.{key}.learning_rate: '1e-4' is text" in str(error.value)


def test_an_overlay_gives_a_data_set_of_one_s_own_values_of_its_own(tmp_path, monkeypatch):
    birds = copy.deepcopy(PAPER["datasets"]["waterbirds"])
    own = {"datasets": {"birds": birds}, "pretrain": {"overrides": {"gdro@birds": {"epochs": 7}}}}
    (tmp_path / "birds.yaml").write_text(yaml.safe_dump(own))
    run = runs.Run((str(ROOT / "config.yaml"), str(tmp_path / "birds.yaml")), "profiles/local")
    pretrain = runs.configuration_of(run).pretrain
    assert (pretrain.of("gdro", "birds").epochs, pretrain.of("gdro", "birds").momentum) == (7, 0.9)
    assert pretrain.of("gdro", "celeba") == validate_config(PAPER).pretrain.of("gdro", "celeba")


def test_a_key_that_stands_twice_is_named_with_its_line(tmp_path):
    path = tmp_path / "config.yaml"
    text = (ROOT / "config.yaml").read_text()
    line = len((text + "\nseeds: [7]\n").splitlines())
    path.write_text(text + "\nseeds: [7]\n")
    with pytest.raises(UserError, match=rf"'seeds' stands twice, again in line {line}"):
        load_config(path)
