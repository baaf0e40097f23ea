"""The audit of images on a small set whose answers are known: agreement, defects, ranks as in `select`."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from safetensors.numpy import save_file

from fairdream.curation.near_copies import CopiesJob, copies
from fairdream.curation.nearest_neighbors import thumbnail
from fairdream.curation.quality import QualityJob, agreement, clip_score, quality
from fairdream.curation.select import SelectJob, select
from fairdream.data.images import encode_png, write_shard

GROUPS = ("a-x", "b-y")
N, D = 12, 6


def unit(rng, *shape):
    values = rng.standard_normal(shape)
    return (values / np.linalg.norm(values, axis=-1, keepdims=True)).astype(np.float32)


@pytest.fixture
def audited(tmp_path):
    """Two groups of twelve images, of which three of the first were redrawn, one is flat and one a copy."""
    rng = np.random.default_rng(0)
    train = [Image.fromarray(rng.integers(0, 256, (20, 20, 3), dtype=np.uint8)) for _ in range(16)]
    real, keys = unit(rng, 16, D), rng.integers(0, 256, (16, 32), dtype=np.uint8)
    rows = []
    for n, image in enumerate(train):
        image.save(tmp_path / f"{n}.png")
        label, attribute = GROUPS[n % 2].split("-")
        row = {"id": f"{n}.png", "path": f"{n}.png", "folder": str(tmp_path), "split": "train", "label": label}
        rows.append({**row, "attribute": attribute, "sha256": bytes(keys[n]).hex(), "group": GROUPS[n % 2]})
    pd.DataFrame(rows).to_parquet(tmp_path / "index.parquet")
    save_file({"embeddings": real, "sha256": keys}, tmp_path / "embeddings.st")
    save_file({"thumbnails": np.stack([thumbnail(image) for image in train]), "sha256": keys}, tmp_path / "small.st")
    words = {f"label/{y}": unit(rng, D) for y in "ab"} | {f"attribute/{a}": unit(rng, D) for a in "xy"}
    save_file(words, tmp_path / "texts.st")
    save_file({group: unit(rng, D) for group in GROUPS}, tmp_path / "centroids.st")
    shards, scores, vectors = [], [], {}
    for group in GROUPS:
        drawn = [Image.fromarray(rng.integers(0, 256, (20, 20, 3), dtype=np.uint8)) for _ in range(N)]
        vectors[group] = unit(rng, N, D)
        if group == "a-x":
            drawn[0], drawn[1], vectors[group][1] = Image.new("RGB", (20, 20), (90, 90, 90)), train[4], real[4]
        names = [f"{group}/s/{n:06d}" for n in range(N)]
        defects = ["NaN flat", "black", "flat"] + [""] * (N - 3) if group == "a-x" else [""] * N
        shards.append(str(tmp_path / f"{group}.parquet"))
        some = zip(names, drawn, defects, strict=True)
        write_shard(shards[-1], [{"id": i, "image": encode_png(p), "defects": d} for i, p, d in some], {})
        flat = pa.FixedSizeListArray.from_arrays(pa.array(vectors[group].ravel()), D)
        table = pa.table({"id": names, "clip_label": rng.uniform(0.2, 0.3, N), "embedding": flat})
        scores.append(str(tmp_path / f"{group}.scores.parquet"))
        pq.write_table(table, scores[-1])
    return tmp_path, shards, scores, vectors, words


def test_the_figures_of_a_group_are_what_was_planted(audited):
    folder, shards, scores, vectors, words = audited
    at = {name: str(folder / name) for name in ("index.parquet", "embeddings.st", "small.st", "texts.st")}
    centers, near, chosen = (str(folder / name) for name in ("centroids.st", "copies.parquet", "selected.parquet"))
    job = CopiesJob(quantile=0.99, embedding=0.95, pixels=0.95, seed=0)
    copies(at["index.parquet"], at["embeddings.st"], at["small.st"], shards, scores, near, job)
    alpha = dict.fromkeys(GROUPS, 0.5)
    select(shards, scores, centers, chosen, SelectJob(alpha=alpha, fraction=0.75))
    names = {"bias": "original", "dataset": "d", "method": "m"}
    config = QualityJob(alpha=alpha, columns=4, fraction=0.75, names=names, seed=0, standardize=False)
    out = [str(folder / name) for name in ("q.csv", "q.json", "sheet.png", "pairs.png")]
    real = (at["index.parquet"], at["embeddings.st"], at["texts.st"])
    quality(*real, centers, near, chosen, shards, scores, *out, config)
    table = pd.read_csv(out[0]).set_index("group")
    counts = [
        "images",
        "kept",
        "black",
        "flat",
        "redrawn",
        "dropped_nan",
        "dropped_black",
        "dropped_flat",
        "near_copies",
    ]
    assert table.loc["a-x", counts].tolist() == [12, 9, 0, 1, 3, 1, 1, 2, 1]
    assert table.loc["b-y", ["flat", "redrawn", "near_copies"]].tolist() == [0, 0, 0]
    seen = [max("ab", key=lambda y: float(v @ words[f"label/{y}"])) for v in vectors["b-y"]]
    assert table.loc["b-y", "class_agreement"] == pytest.approx(seen.count("b") / N, abs=1e-5)
    assert json.loads((folder / "q.json").read_text())["groups"][0]["group"] == "a-x"
    assert all((folder / name).stat().st_size > 5_000 for name in ("sheet.png", "pairs.png"))


@pytest.mark.parametrize("standardize", [False, True])
def test_images_are_ranked_as_selection_ranks_them(standardize):
    from fairdream.curation import select as stage

    rng = np.random.default_rng(1)
    label, centroid = rng.uniform(size=9), rng.uniform(size=9)
    for alpha in (0.0, 0.3, 1.0):
        own = clip_score(label, centroid, alpha, standardize)
        assert np.array_equal(own, stage.clip_score(label, centroid, alpha, standardize))


def test_agreement_of_three_names_is_the_share_nearest_to_the_asked_one():
    words = {f"label/{name}": np.eye(4, dtype="f4")[n] for n, name in enumerate("pqr")}
    vectors = np.eye(4, dtype="f4")[[0, 1, 1, 2]]
    assert [agreement(vectors, words, "label", name) for name in "pqr"] == [0.25, 0.5, 0.25]
