"""Subjects: clusters of at least a given size with names that stay, and files that change only with their members."""

import json
import os

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file
from threadpoolctl import threadpool_limits

from fairdream.diffusion.subjects import cluster, subjects
from fairdream.errors import UserError


def blobs(sizes, seed=0, dimensions=8):
    """Well separated clusters of unit vectors, one after the other."""
    rng = np.random.default_rng(seed)
    points = np.repeat(np.eye(dimensions)[: len(sizes)], sizes, axis=0)
    points = points + 0.02 * rng.standard_normal(points.shape)
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)


def test_clear_clusters_are_found_and_numbered_by_their_first_member():
    found = cluster(blobs([10, 6, 8]), 3, 4, 3, seed=0)
    assert found.tolist() == [0] * 10 + [1] * 6 + [2] * 8


@pytest.mark.parametrize("sizes", [[20, 1, 2], [22, 1, 1], [5, 5, 2], [4, 4, 4], [30, 1, 1, 1]])
def test_k_is_kept_and_no_cluster_is_too_small(sizes):
    found = cluster(blobs(sizes), len(sizes), 4, 3, seed=0)
    counts = np.bincount(found, minlength=len(sizes))
    assert len(counts) == len(sizes)
    assert counts.min() >= 4
    assert counts.sum() == sum(sizes)


def test_a_small_cluster_keeps_its_own_and_takes_the_nearest():
    points = blobs([12, 2])
    # two points of the large cluster lie on the way to the small one
    points[3] = points[7] = (points[0] * 2 + points[12]) / np.linalg.norm(points[0] * 2 + points[12])
    found = cluster(points, 2, 4, 3, seed=0)
    assert np.flatnonzero(found == found[12]).tolist() == [3, 7, 12, 13]


def test_exactly_enough_points_are_enough_and_fewer_are_named():
    points = blobs([10, 1, 1])
    assert sorted(np.bincount(cluster(points, 3, 4, 1, seed=0))) == [4, 4, 4]
    with pytest.raises(UserError, match="11 images are too few for 3 clusters of at least 4"):
        cluster(points[:11], 3, 4, 1, seed=0)


def test_equal_points_do_not_break_the_rule():
    points = np.tile(blobs([1, 1]), (6, 1))
    assert np.bincount(cluster(points, 2, 4, 1, seed=0)).min() >= 4


def test_the_same_seed_gives_the_same_clusters():
    points = np.random.default_rng(3).standard_normal((60, 8)).astype(np.float32)
    assert np.array_equal(cluster(points, 4, 4, 2, seed=5), cluster(points, 4, 4, 2, seed=5))


def test_clusters_are_those_of_any_number_of_threads():
    """In float32, three quarters of these points, which have no structure, are in another cluster with two threads."""
    points = np.random.default_rng(14).standard_normal((6000, 8)).astype(np.float32)
    found = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            found.append(cluster(points, 30, 4, 1, seed=14))
    assert np.array_equal(*found)


def test_names_stay_when_a_few_images_come_and_go():
    points = blobs([10, 9, 8])
    before = cluster(points, 3, 4, 3, seed=0)
    more = np.concatenate([points, blobs([1, 1, 1], seed=9)])
    assert np.array_equal(cluster(more, 3, 4, 3, seed=0)[: len(points)], before)
    keep = np.delete(np.arange(len(points)), [4, 12, 20])
    assert np.array_equal(cluster(points[keep], 3, 4, 3, seed=0), before[keep])


GROUPS = {"a-x": [10, 6], "b-y": [8, 7]}


@pytest.fixture
def project(tmp_path):
    """A split with two groups of two clear clusters, and their embeddings."""
    rows, vectors = [], []
    for number, (group, sizes) in enumerate(GROUPS.items()):
        for index, vector in enumerate(blobs(sizes, seed=number)):
            path = f"{group}-{index:03d}.png"
            sha = f"{number:02x}{index:02x}".ljust(64, "0")
            rows.append({"id": path, "folder": "data", "path": path, "split": "train", "group": group, "sha256": sha})
            vectors.append(vector)
    rows.append({**rows[0], "id": "test.png", "split": "test"})
    table = pd.DataFrame(rows)
    table.to_parquet(tmp_path / "split.parquet")
    keys = np.array([list(bytes.fromhex(row["sha256"])) for row in rows[:-1]], np.uint8)
    save_file({"embeddings": np.stack(vectors), "sha256": keys}, tmp_path / "embeddings.safetensors")
    return tmp_path


def run(project, clusters=2, sample=None, groups=tuple(GROUPS), seed=0):
    index = project / "subjects/index.json"
    subjects(
        split=str(project / "split.parquet"),
        embeddings=str(project / "embeddings.safetensors") if clusters else None,
        index=str(index),
        groups=list(groups),
        clusters=clusters,
        sample=sample,
        min_cluster_size=4,
        n_init=2,
        seed=seed,
    )
    return json.loads(index.read_text())


def members(project, subject):
    return [image["id"] for image in json.loads((project / f"subjects/{subject}.json").read_text())["images"]]


def edit(project, change):
    table = pd.read_parquet(project / "split.parquet")
    change(table).to_parquet(project / "split.parquet")


def stamps(project):
    """Set all time stamps to 1; return a function that tells the files written since."""
    for path in (project / "subjects").iterdir():
        os.utime(path, ns=(1, 1))
    return lambda: {p.stem for p in (project / "subjects").iterdir() if p.stat().st_mtime_ns != 1} - {"index"}


def test_every_training_image_is_in_one_cluster_of_its_group(project):
    sizes = run(project)
    assert sizes == {"a-x-c00": 10, "a-x-c01": 6, "b-y-c00": 8, "b-y-c01": 7}
    assert {path.stem for path in (project / "subjects").iterdir()} == {*sizes, "index"}
    for group, (first, second) in GROUPS.items():
        names = members(project, f"{group}-c00") + members(project, f"{group}-c01")
        assert names == [f"{group}-{n:03d}.png" for n in range(first + second)]
    content = json.loads((project / "subjects/a-x-c01.json").read_text())
    assert (content["subject"], content["group"]) == ("a-x-c01", "a-x")
    assert content["images"][0] == {
        "id": "a-x-010.png",
        "path": "data/a-x-010.png",
        "sha256": "000a".ljust(64, "0"),
    }


def test_files_that_would_not_change_are_left_alone(project):
    run(project)
    written = stamps(project)
    run(project)
    assert written() == set()


def test_the_order_of_the_split_does_not_matter(project):
    run(project)
    written = stamps(project)
    edit(project, lambda table: table.iloc[::-1])
    run(project)
    assert written() == set()


def test_an_image_less_changes_its_own_subject_alone(project):
    run(project)
    written = stamps(project)
    edit(project, lambda table: table[table["id"] != "a-x-012.png"])
    run(project)
    assert written() == {"a-x-c01"}


def test_stale_files_go(project):
    run(project)
    run(project, groups=("a-x",))
    assert {path.stem for path in (project / "subjects").iterdir()} == {"a-x-c00", "a-x-c01", "index"}


def test_a_sample_is_seeded_and_changes_by_one_image_at_the_most(project):
    assert run(project, clusters=None, sample=5) == {"a-x": 5, "b-y": 5}
    before = members(project, "a-x")
    assert before == sorted(before)
    edit(project, lambda table: table[table["id"] != before[0]])
    run(project, clusters=None, sample=5)
    assert len(set(before) & set(members(project, "a-x"))) == 4
    run(project, clusters=None, sample=5, seed=1)
    assert set(members(project, "b-y")) != set(before)


def test_a_sample_larger_than_the_group_is_the_group(project):
    assert run(project, clusters=None, sample=100) == {"a-x": 16, "b-y": 15}
    assert run(project, clusters=None, sample=None) == {"a-x": 16, "b-y": 15}
