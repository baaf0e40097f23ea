"""Data sets that are not there are told all at once, and only those that a run reads."""

import copy
from pathlib import Path

import pytest
import yaml

from fairdream.config.root import Config, validate_config
from fairdream.errors import UserError
from fairdream.planning import missing_datasets

ROOT = Path(__file__).resolve().parents[3]
PAPER = yaml.safe_load((ROOT / "config.yaml").read_text())


@pytest.fixture
def config(tmp_path, monkeypatch) -> Config:
    """The paper's configuration, in a folder without data."""
    monkeypatch.chdir(tmp_path)
    return validate_config(copy.deepcopy(PAPER))


def put(config: Config, name: str) -> Path:
    """Put the tables of a data set where they belong."""
    folder = Path(config.datasets[name].folder)
    for table in config.datasets[name].tables:
        (folder / table.file).parent.mkdir(parents=True, exist_ok=True)
        (folder / table.file).touch()
    return folder


def told(config: Config, *to_read: str) -> str:
    with pytest.raises(UserError) as error:
        missing_datasets.check(config, to_read or None)
    return str(error.value)


def test_all_that_are_missing_are_named_with_where_to_get_them(config):
    text = told(config)
    assert text.startswith("These data sets are missing:\n  ")
    for name, own in config.datasets.items():
        assert f"\n  {name}: {own.folder} not found. Get it: {own.origin.strip()}\n" in text
    assert text.endswith("Without any data: `make demo` runs the whole workflow on embedded data.")


def test_of_a_folder_the_missing_tables_are_named(config):
    put(config, "celeba")
    table = Path(config.datasets["celeba"].folder, config.datasets["celeba"].tables[0].file)
    table.unlink()
    assert f"\n  celeba: {table} not found." in told(config)


def test_only_what_is_going_to_be_read_must_be_there(config):
    put(config, "celeba")
    missing_datasets.check(config, ["celeba"])
    missing_datasets.check(config, [])
    text = told(config, "celeba", "waterbirds")
    assert "waterbirds:" in text
    assert "celeba:" not in text


def test_what_was_read_before_stands_without_its_folder_but_cannot_be_read_again(config):
    import pyarrow as pa
    import pyarrow.parquet as pq

    for name, own in config.datasets.items():
        index = Path(config.results, name, "index.parquet")
        index.parent.mkdir(parents=True)
        pq.write_table(pa.table({"folder": [own.folder]}), index)
    missing_datasets.check(config)
    assert "celeba:" in told(config, "celeba")


def test_the_demo_s_is_made_by_a_rule(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    raw = yaml.safe_load((ROOT / "tests/workflow/smallest.yaml").read_text())
    raw["models"]["diffusion"] = {"id": "./tiny-sd"}
    missing_datasets.check(validate_config(raw))


def test_a_split_of_one_s_own_must_be_there_too(config):
    raw = copy.deepcopy(PAPER)
    own = raw["datasets"]["waterbirds"]
    own["splits"] = [{"bias": 0.999, "file": "mine.csv", "train_counts": own["train_counts"]}]
    config = validate_config(raw)
    for name in config.datasets:
        put(config, name)
    folder = config.datasets["waterbirds"].folder
    assert f"\n  waterbirds: {folder}/mine.csv, its own split at 0.999, not found\n" in told(config)
    Path(folder, "mine.csv").touch()
    missing_datasets.check(config)
