"""An attribute is inferred by jobs of its own, from classes and embeddings; nothing else of a run waits for it."""

import pandas as pd
import pytest
import yaml
from conftest import jobs_in, needs_models, run_snakemake

pytestmark = [pytest.mark.slow, needs_models]


def test_both_ways_find_waterdigits_background_and_other_words_rerun_words_alone(project):
    path = project / "config.yaml"
    values = yaml.safe_load(path.read_text())
    done = run_snakemake(project, "infer_attributes", warm=True)
    assert done.returncode == 0, done.stdout[-4000:]
    folder = project / "results/waterdigits/inferred"
    index = pd.read_parquet(folder.parent / "index.parquet").set_index("id")
    assert "attribute" not in pd.read_parquet(folder / "images.parquet")
    for way, names in (("words", {}), ("xrm", {"land": "like_even", "water": "like_odd"})):
        found = pd.read_csv(folder / f"{way}.csv")
        train = found[found["split"] == "train"]
        assert (train["attribute"].to_numpy() == index["attribute"].replace(names)[train["id"]]).all(), way
        assert len(found) == len(index)
        assert (folder / f"{way}.png").stat().st_size > 10_000
    values["datasets"]["waterdigits"]["inference"] = {"words": {"land": ["grass"], "water": ["sea", "lake"]}}
    path.write_text(yaml.safe_dump(values))
    again = run_snakemake(project, "infer_attributes", "-n")
    assert {job.wildcards["way"] for job in jobs_in(again.stdout)} == {"words"}
    assert {job.rule for job in jobs_in(again.stdout)} == {"infer", "inference_report"}
