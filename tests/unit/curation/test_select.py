"""Selection against eq. 1 in float64 loops, and its ties."""

import math

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file

from fairdream.curation.select import SelectJob, clip_score, select

GROUPS = ("a-x", "b-y")
PER_SHARD, SHARDS, D = 10, 3, 6


def unit(rng, *shape):
    values = rng.standard_normal(shape)
    return (values / np.linalg.norm(values, axis=-1, keepdims=True)).astype(np.float32)


@pytest.fixture
def scored(tmp_path):
    """Two groups in three shards each: the score tables, the centroids and where they lie."""
    rng = np.random.default_rng(0)
    paths, tables = [], []
    for group in GROUPS:
        for shard in range(SHARDS):
            embeddings = unit(rng, PER_SHARD, D)
            table = pd.DataFrame(
                {
                    "id": [f"{group}/s/{shard * PER_SHARD + n:06d}" for n in range(PER_SHARD)],
                    "clip_label": rng.uniform(0.2, 0.3, PER_SHARD),
                    "embedding": list(embeddings),
                }
            )
            path = tmp_path / f"{group}-{shard}.parquet"
            table.to_parquet(path)
            paths.append(str(path))
            tables.append(table)
    centers = {group: unit(rng, D) for group in GROUPS}
    save_file(centers, tmp_path / "centroids.safetensors")
    return tmp_path, paths, pd.concat(tables, ignore_index=True), centers


def run(folder, paths, fraction=0.75, alpha=0.5, standardize=False) -> pd.DataFrame:
    config = SelectJob(alpha=dict.fromkeys(GROUPS, alpha), fraction=fraction, standardize=standardize)
    out = folder / "selected.parquet"
    select(paths, paths, str(folder / "centroids.safetensors"), str(out), config)
    return pd.read_parquet(out)


def reference(table, centers, alpha, standardize) -> dict[str, float]:
    """Eq. 1, an image at a time."""
    scores = {}
    for group in GROUPS:
        rows = [row for row in table.itertuples() if row.id.startswith(group)]
        label = [float(row.clip_label) for row in rows]
        centroid = [
            sum(float(u) * float(v) for u, v in zip(row.embedding, centers[group], strict=True)) for row in rows
        ]
        if standardize:
            for values in (label, centroid):
                mean = math.fsum(values) / len(values)
                std = math.sqrt(math.fsum((v - mean) ** 2 for v in values) / len(values))
                values[:] = [(v - mean) / std for v in values]
        for row, one, other in zip(rows, label, centroid, strict=True):
            scores[row.id] = alpha * one + (1 - alpha) * other
    return scores


@pytest.mark.parametrize("standardize", [False, True])
@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_scores_and_choice_equal_the_formula(scored, alpha, standardize):
    folder, paths, table, centers = scored
    chosen = run(folder, paths, alpha=alpha, standardize=standardize)
    expected = reference(table, centers, alpha, standardize)
    for row in chosen.itertuples():
        assert row.score == pytest.approx(expected[row.id], abs=1e-9)
    for group in GROUPS:
        ranked = sorted((name for name in expected if name.startswith(group)), key=lambda name: -expected[name])
        # 75 % of 30, and Python rounds 22.5 to 22
        assert set(chosen.loc[chosen["group"] == group, "id"]) == set(ranked[:22])


def test_every_group_keeps_its_share_even_if_another_scores_higher(scored):
    folder, paths, table, _ = scored
    for path in paths[:SHARDS]:
        raised = pd.read_parquet(path)
        raised["clip_label"] += 10
        raised.to_parquet(path)
    chosen = run(folder, paths, fraction=0.4)
    assert chosen["group"].value_counts().to_dict() == dict.fromkeys(GROUPS, 12)
    assert len(run(folder, paths, fraction=1.0)) == len(table)


def test_the_order_of_shards_does_not_matter_and_every_image_knows_its_shard(scored):
    folder, paths, _, _ = scored
    first = run(folder, paths)
    pd.testing.assert_frame_equal(first, run(folder, paths[::-1]))
    for row in first.itertuples():
        assert row.id in set(pd.read_parquet(row.shard)["id"])


def test_ties_go_to_the_smaller_id_whatever_the_order(scored):
    folder, paths, _, _ = scored
    for path in paths:
        table = pd.read_parquet(path)
        table["clip_label"] = 0.25
        table.iloc[::-1].to_parquet(path)
    for order in (paths, paths[::-1]):
        chosen = run(folder, order, fraction=0.5, alpha=1.0)
        assert chosen["id"].tolist() == [f"{group}/s/{n:06d}" for group in GROUPS for n in range(15)]


def test_a_term_that_is_the_same_for_all_does_not_divide_by_zero():
    scores = clip_score(np.full(3, 0.2), np.array([1.0, 2.0, 3.0]), 0.5, True)
    assert np.isfinite(scores).all()
    assert (np.diff(scores) > 0).all()


@pytest.mark.parametrize("standardize", [False, True])
def test_a_group_without_a_training_image_has_no_centroid_and_is_ranked_by_its_label_alone(scored, standardize):
    folder, paths, table, centers = scored
    save_file({"b-y": centers["b-y"]}, folder / "centroids.safetensors")
    chosen = run(folder, paths, alpha=0.5, standardize=standardize)
    empty = chosen[chosen["group"] == "a-x"]
    own = table[table["id"].str.startswith("a-x")]
    assert set(empty["id"]) == set(own.nlargest(len(empty), "clip_label")["id"])
    assert (empty["clip_centroid"] == 0).all()
