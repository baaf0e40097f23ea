"""Subjects: which training images each adapter learns (paper, sections 3.1 and 4.2)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairdream.errors import UserError
from fairdream.identity import seed_of
from fairdream.runtime.files import write_if_changed, write_text
from fairdream.runtime.job import LOGGER

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


def subjects(
    split: str,
    embeddings: str | None,
    index: str,
    groups: list[str],
    clusters: int | None,
    sample: int | None,
    min_cluster_size: int,
    n_init: int,
    seed: int,
) -> None:
    """Write one member file per subject beside `index`, and `index` itself, which lists them.

    Member files hold sorted images and nothing that changes by itself, and one that would not change is left alone:
    Snakemake compares them by content, so only adapters whose images changed are trained again.

    Parameters
    ----------
    embeddings
        CLIP embeddings; only clusters need them.
    groups
        Groups that train an adapter at this bias.
    clusters
        Number of clusters k; ``None``: the group is one subject.
    sample
        Images taken of each group at the most; ``None``: all.
    min_cluster_size
        A smaller cluster takes its nearest images from larger ones.
    n_init
        Restarts of k-means.
    """
    import pandas as pd

    table = pd.read_parquet(split)
    table = table[table["split"] == "train"]
    if clusters is not None and embeddings:
        members = _clustered(table, embeddings, groups, clusters, min_cluster_size, n_init, seed)
    else:
        members = {group: _sampled(_rows_of(table, group), sample, seed) for group in groups}
    folder = Path(index).parent
    for name, rows in members.items():
        LOGGER.info("%s: %d images", name, len(rows))
        images = [
            {"id": row.id, "path": str(Path(row.folder, row.path)), "sha256": row.sha256} for row in rows.itertuples()
        ]
        content: dict[str, Any] = {"subject": name, "group": rows["group"].iloc[0], "images": images}
        write_if_changed(folder / f"{name}.json", json.dumps(content, indent=1) + "\n")
    for stale in folder.glob("*.json"):
        if stale.stem not in members and stale != Path(index):
            stale.unlink()
    write_text(index, json.dumps({name: len(rows) for name, rows in members.items()}, indent=1) + "\n")


def _rows_of(table: pd.DataFrame, group: str) -> pd.DataFrame:
    return table[table["group"] == group].sort_values("id", ignore_index=True)


def _sampled(rows: pd.DataFrame, sample: int | None, seed: int) -> pd.DataFrame:
    """Return a seeded sample of a group's images: one image more changes at most one member."""
    order = rows["id"].map(lambda name: seed_of("subject", seed, name)).sort_values(kind="stable").index
    return rows.loc[sorted(order[:sample])]


def _clustered(
    table: pd.DataFrame, embeddings: str, groups: list[str], k: int, smallest: int, n_init: int, seed: int
) -> dict[str, pd.DataFrame]:
    """Return the images of each cluster of each group, by subject."""
    row_of, vectors = _vectors(embeddings)
    members: dict[str, pd.DataFrame] = {}
    for group in groups:
        rows = _rows_of(table, group)
        assignment = cluster(vectors[[row_of[sha] for sha in rows["sha256"]]], k, smallest, n_init, seed)
        members |= {f"{group}-c{number:02d}": rows[assignment == number] for number in range(k)}
    return members


def cluster(points: np.ndarray, k: int, smallest: int, n_init: int, seed: int) -> np.ndarray:
    """Cluster embeddings (n, d) into k clusters; return each point's cluster (n,).

    k-means on unit-length embeddings (paper, section 3.1). A cluster with fewer than `smallest` images then takes the
    nearest images of clusters that can spare them. Clusters are numbered by their earliest member, so names stay when
    the clustering does.

    Raises
    ------
    UserError
        When there are fewer than k * smallest points.
    """
    import numpy as np
    from sklearn.cluster import KMeans

    if len(points) < k * smallest:
        raise UserError(f"{len(points)} images are too few for {k} clusters of at least {smallest}")
    # threads add up in another order: in float32 a rounding can lead to other clusters, of which each trains an adapter
    points = points.astype(np.float64)
    model = KMeans(n_clusters=k, n_init=n_init, random_state=seed_of("k-means", seed) % 2**32).fit(points)
    assignment, centers = model.labels_.copy(), model.cluster_centers_
    for number in sorted(range(k), key=lambda c: (np.sum(assignment == c), c)):
        distance = np.linalg.norm(points - centers[number], axis=1)
        for point in np.argsort(distance, kind="stable"):
            if np.sum(assignment == number) >= smallest:
                break
            if assignment[point] != number and np.sum(assignment == assignment[point]) > smallest:
                assignment[point] = number
    first = {number: int(np.argmax(assignment == number)) for number in range(k)}
    rank = {number: position for position, number in enumerate(sorted(range(k), key=first.__getitem__))}
    return np.array([rank[number] for number in assignment])


def _vectors(embeddings: str) -> tuple[dict[str, int], np.ndarray]:
    """Return the row of each content hash, and the embeddings (n, d)."""
    from safetensors.numpy import load_file

    stored = load_file(embeddings)
    return {bytes(key).hex(): row for row, key in enumerate(stored["sha256"])}, stored["embeddings"]
