"""The audits of a finished run, and a selection that leaves out a training image which was drawn again."""

from collections import Counter

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from conftest import needs_models, run_snakemake
from PIL import Image

pytestmark = [pytest.mark.slow, needs_models]
HERE = "results/waterdigits/original"
GROUPS = ["even-land", "even-water", "odd-land", "odd-water"]


def edit(project, **sections) -> None:
    path = project / "config.yaml"
    values = yaml.safe_load(path.read_text())
    for name, value in sections.items():
        values[name] = {**values[name], **value} if isinstance(value, dict) else value
    path.write_text(yaml.safe_dump(values))


def kept(project, selection: str) -> set[str]:
    return set(pd.read_parquet(project / HERE / f"dreambooth/selected/{selection}.parquet")["id"])


def test_the_audits_look_at_each_method_and_train_nothing(rerun):
    project, jobs = rerun
    edit(project, methods=["erm", "ffr", "dreambooth"], biases=["original"])
    done = run_snakemake(project, "audits", warm=True)
    assert done.returncode == 0, done.stdout[-4000:]
    assert {job.rule for job in jobs()} == {"tabulate"}, "fewer rows in Table 1, and nothing else"
    page = (project / "results/waterdigits/audit.md").read_text()
    assert page.startswith("# waterdigits: are class and attribute associated?")
    for method in ("ffr", "dreambooth"):
        table = pd.read_csv(project / HERE / method / "quality.csv")
        assert list(table["group"]) == GROUPS
        assert (table["images"] == 7).all()
        assert list(table["real"]) == [475, 25, 25, 475]
        for name in ("quality", "copies"):
            sheet = Image.open(project / f"results/figures/{name}-waterdigits-original-{method}.png")
            assert min(sheet.size) > 200
    assert not (project / HERE / "erm/quality.csv").exists()


def test_a_training_image_among_the_drawn_ones_is_found_and_left_out(rerun):
    project, jobs = rerun
    edit(project, methods=["erm", "dreambooth"], biases=["original"])
    (shard,) = (project / HERE / "dreambooth/images/even-land").rglob("*.parquet")
    table = pq.read_table(shard)
    split = pd.read_parquet(project / HERE / "split.parquet")
    real = split[(split["split"] == "train") & (split["group"] == "even-land")].iloc[0]
    png = (project / real["folder"] / real["path"]).read_bytes()
    planted = sorted(kept(project, "clip") & set(table["id"].to_pylist()))[0]
    structs = table["image"].to_pylist()
    structs[table["id"].to_pylist().index(planted)]["bytes"] = png
    column = table.schema.get_field_index("image")
    table = table.set_column(column, table.schema.field("image"), pa.array(structs, table.schema.field("image").type))
    pq.write_table(table, shard)
    done = run_snakemake(project, warm=True)
    assert done.returncode == 0, done.stdout[-4000:]
    assert planted in kept(project, "clip"), "a real image of the group has a high score"

    edit(project, select={"drop_copies": True})
    rules = Counter(job.rule for job in jobs())
    assert rules == Counter(["thumbnails", "copies", "distinct", "pretrain", "retrain", "evaluate", "tabulate"])
    done = run_snakemake(project, warm=True)
    assert done.returncode == 0, done.stdout[-4000:]
    copies = pd.read_parquet(project / HERE / "dreambooth/copies.parquet").set_index("id")
    assert list(copies.index[copies["copy"]]) == [planted]
    assert copies.loc[planted, "nearest"] == real["id"]
    assert kept(project, "clip") - kept(project, "clip_distinct") == {planted}
    log = (project / "results/logs/distinct/waterdigits-original-dreambooth-clip.log").read_text()
    assert "even-land: 1 near copies" in log

    edit(project, select={"drop_copies": False})
    assert Counter(job.rule for job in jobs()) == Counter(["tabulate"]), "the classifiers of before are still valid"
