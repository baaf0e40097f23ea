"""The cards of what is taken away of a run: its synthetic images, as `datasets` reads them, and its adapters."""

import io
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from fairdream.config.root import load_config
from fairdream.data.images import encode_png, write_shard
from fairdream.planning import report_params
from fairdream.reporting import cards
from fairdream.reporting.cards import AdaptersCardJob, ImagesCardJob, images_card

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def config():
    return load_config(ROOT / "tests/workflow/smallest.yaml")


@pytest.fixture
def folder(tmp_path, config):
    """A method's folder: its images, among them a shard of an earlier configuration, their card and another."""
    groups = sorted(config.datasets["waterdigits"].train_counts)
    folder, shards = tmp_path / "my method", []
    for group in groups:
        for stop in (2, 9):
            path = folder / "images" / group / group / f"000000-{stop:06d}.parquet"
            rows = []
            for index in range(stop):
                picture = Image.fromarray(np.full((8, 8, 3), 10 * stop + index, np.uint8))
                rows.append({"id": f"{group}/{group}/{index}", "image": encode_png(picture), "group": group})
            write_shard(path, rows, {"redrawn": "0"})
            shards += [str(path)] if stop == 2 else []
    values = report_params.images_card(config, "waterdigits", "original", "lora")
    (folder / "adapters").mkdir()
    (folder / "adapters/README.md").write_text("---\ninference: false\n---\n")
    write_shard(folder / "scores/even-land/even-land/000000-000002.parquet", rows, {})
    images_card(shards, str(folder / "README.md"), ImagesCardJob(**values))
    return folder


def front_of(folder):
    _, front, text = (folder / "README.md").read_text().split("---\n", 2)
    return yaml.safe_load(front), text


def test_the_card_names_the_shards_of_this_run_and_no_others(folder):
    front, text = front_of(folder)
    ((split,),) = [config["data_files"] for config in front["configs"]]
    tables = [pq.read_table(folder / path) for path in split["path"]]
    assert [table.num_rows for table in tables] == [2, 2, 2, 2]
    assert {name for table in tables for name in table["group"].to_pylist()} == {
        "even-land",
        "even-water",
        "odd-land",
        "odd-water",
    }
    assert split["split"] == "train"
    assert front["size_categories"] == ["n<1K"]
    assert "- 2 steps of DDIMScheduler, trailing spacing, seed 0; " in text
    assert "8 synthetic images" in text
    assert "| odd-water | 2 | photo of a odd digit on water |" in text


def test_pandas_reads_the_images_beside_their_card(folder):
    assert len(pd.read_parquet(folder / "images")) == 4 * (2 + 9)
    images = pd.read_parquet(folder / "images/odd-water")
    assert set(images["group"]) == {"odd-water"}
    assert {Image.open(io.BytesIO(image["bytes"])).size for image in images["image"]} == {(8, 8)}


def test_no_rule_puts_anything_but_shards_below_the_images():
    texts = [path.read_text() for path in (ROOT / "rules").glob("*.smk")]
    below = {name for text in texts for name in re.findall(r'"<results>/.*?/images/(.+?)"', text)}
    assert below == {"{group}/{subject}/{shard}.parquet"}
    assert any('card="<results>/{dataset}/{bias}/{method}/README.md"' in text for text in texts)


def test_datasets_reads_the_folder_as_the_card_says(folder, tmp_path):
    datasets = pytest.importorskip("datasets", reason="Hugging Face datasets is not installed: it is no dependency")
    images = datasets.load_dataset(str(folder), split="train", cache_dir=str(tmp_path / "cache"))
    assert len(images) == 8
    assert isinstance(images.features["image"], datasets.Image)
    assert images[3]["group"] == "even-water"
    assert np.asarray(images[3]["image"]).max() == 21


def test_a_swapped_group_and_prompts_without_end_are_told(config):
    values = report_params.images_card(config, "waterdigits", "0.999", "dreambooth")
    assert values["groups"]["even-water"]["negative_prompt"]
    assert not values["groups"]["even-land"]["negative_prompt"]
    ffr = report_params.images_card(config, "waterdigits", "any", "ffr")
    assert ffr["adapters"] == "no adapter"
    assert len(ffr["groups"]["even-land"]["prompts"]) == 5


def test_sizes_are_the_hub_s_words():
    assert [cards._size(count) for count in (999, 1000, 480_000, 2_000_000)] == [
        "n<1K",
        "1K<n<10K",
        "100K<n<1M",
        "1M<n<10M",
    ]


def test_the_sections_are_what_the_cards_take(config):
    for method in ("lora", "clustered_dreambooth"):
        values = report_params.adapters_card(config, "waterdigits", "0.999", method)
        assert AdaptersCardJob(**values).adapter_scale == config.generate.adapter_scale
