"""What is given with ``--config`` is read as a file is, and what is wrong with it is told of the command line."""

import copy
from pathlib import Path

import pytest
import yaml
from snakemake.cli import parse_config
from snakemake.utils import update_config

from fairdream.config import command_line
from fairdream.config.root import Config, validate_config
from fairdream.errors import UserError

PAPER = yaml.safe_load((Path(__file__).resolve().parents[3] / "config.yaml").read_text())


def given(*entries: str, **own) -> Config:
    """Return the paper's configuration with keys of the file's `own`, and with entries of the command line over it."""
    raw, words = copy.deepcopy(PAPER) | own, parse_config(entries)
    update_config(raw, words)  # what Snakemake makes of files and command line
    update_config(raw, command_line.read(Config, raw, words))
    return validate_config(raw, "my.yaml", words)


def in_file(text: str) -> Config:
    raw = copy.deepcopy(PAPER)
    update_config(raw, yaml.safe_load(text))
    return validate_config(raw)


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ("seed=3", "seed: 3"),
        ("seeds=[0, 1]", "seeds: [0, 1]"),
        ("biases=[original, 0.99]", "biases: [original, 0.99]"),
        ('finetune={"steps": 10, "learning_rate": 0.01}', "finetune: {steps: 10, learning_rate: 0.01}"),
        ("finetune={overrides: {lora: {steps: 10}}}", "finetune: {overrides: {lora: {steps: 10}}}"),
        ("pretrain={flip: false}", "pretrain: {flip: false}"),
        (
            "models={diffusion: {id: ./mine, revision: null}}",
            "models: {diffusion: {id: ./mine, revision: null}}",
        ),
        ("generate={guidance_interval: [0, 0.5]}", "generate: {guidance_interval: [0, 0.5]}"),
        ("methods=[erm, lora]", "methods: [erm, lora]"),
        ("bias_rule=overall", "bias_rule: overall"),
        # words that are a number, true or null to YAML, where there is nothing but text, or where they stand in a table
        ("finetune={token: 10}", 'finetune: {token: "10"}'),
        ("finetune={token: null}", 'finetune: {token: "null"}'),
        (
            'datasets={waterbirds: {label_values: {landbird: "01", waterbird: yes}}}',
            'datasets: {waterbirds: {label_values: {landbird: "01", waterbird: "yes"}}}',
        ),
        (
            "datasets={waterbirds: {label_values: {landbird: 0, waterbird: 1}}}",
            "datasets: {waterbirds: {label_values: {landbird: 0, waterbird: 1}}}",
        ),
    ],
)
def test_a_value_is_that_of_a_file(entry, text):
    assert given(entry) == in_file(text)


@pytest.mark.parametrize(
    ("entry", "line"),
    [
        ("seeds=[0, x]", "seeds.1: 'x': Input should be a valid integer"),
        ("seeds=0", "seeds: 0: Input should be a valid list"),
        ("finetune={steps: 01}", "finetune.steps: '01': Input should be a valid integer"),
        ("finetune={steps: 0}", "finetune.steps: 0: Input should be greater than or equal to 1"),
        ("finetune={stepz: 1}", "finetune.stepz: unknown key (value 1)"),
        ("finetune={learning_rate: 1e-4}", "finetune.learning_rate: '1e-4' is text to YAML"),
        ("finetune={overrides: {lora: {steps: x}}}", "finetune.overrides.lora.steps: 'x': Input should be"),
        ("biases=[original, 0.3]", "biases.1: 0.3: Input should be greater than 0.5"),
        ("select=3", "select: 3: Input should be a valid dictionary"),
        ("datasets={a-b: {}}", "datasets.a-b.[key]: 'a-b'"),
        ("datasets={birds: {folder: here}}", "datasets.birds.origin: this key is missing"),
        ("retrain={steps: 10}", "retrain: give exactly one of epochs and steps"),
    ],
)
def test_what_is_wrong_is_told_of_the_command_line(entry, line):
    with pytest.raises(UserError) as error:
        given(entry)
    message = str(error.value)
    assert message.startswith("--config: ")
    assert line in message
    assert "my.yaml" not in message


def test_what_is_wrong_in_a_file_is_told_of_the_file_and_text_in_it_stays_text():
    wrong = copy.deepcopy(PAPER["finetune"]) | {"rank": "4"}
    del wrong["batch_size"]
    with pytest.raises(UserError) as error:
        given("finetune={steps: 0}", finetune=wrong)
    told, own = str(error.value).split("--config: 1 value(s) to fix:\n")
    assert told.startswith("my.yaml: 2 value(s) to fix:\n")
    assert "finetune.rank: '4': Input should be a valid integer" in told
    assert "finetune.batch_size: this key is missing" in told
    assert own.startswith("  finetune.steps: 0: ")
