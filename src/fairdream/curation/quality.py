"""Are the images good: agreement, distance, diversity, near copies and defects of a method's images, by group.

All of it comes from what scoring has stored, so it needs no network and no GPU.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairdream.config.base import Section
from fairdream.curation.distribution_metrics import kernel_distance, mean_similarity, vendi_score
from fairdream.data.defects import DEFECTS, defect
from fairdream.data.groups import attribute_of, group_name, label_of
from fairdream.data.image_grid import Frame, draw_sheet
from fairdream.data.images import iter_pngs, open_rgb, read_pngs
from fairdream.identity import seed_of
from fairdream.runtime.files import atomic, write_text
from fairdream.runtime.job import LOGGER

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

SAMPLE = 5000  # images of a group that are compared, at the most


class QualityJob(Section):
    """How the images are ranked, what they are called, and how many a sheet shows in a row."""

    alpha: dict[str, float]
    columns: int
    fraction: float
    names: dict[str, str]
    seed: int
    standardize: bool


def quality(
    index: str,
    embeddings: str,
    texts: str,
    centroids: str,
    copies: str,
    selected: str,
    images: list[str],
    scores: list[str],
    csv: str,
    summary: str,
    sheet: str,
    pairs: str,
    config: QualityJob,
) -> None:
    """Write the figures of each group as CSV and JSON, and two contact sheets.

    Parameters
    ----------
    index, embeddings
        The data set: all training images of the original bias are what a group is compared with.
    copies
        The method's near copies; the selection tells which images were kept.
    images, scores
        The method's shards and their scores, in the same order.
    sheet, pairs
        Outputs: best, cut and worst images by CLIP score; the closest pairs with a training image.
    """
    import numpy as np
    import pandas as pd
    from safetensors.numpy import load_file

    table, vectors = _synthetic(images, scores)
    real, real_vectors = _real(index, embeddings)
    words, centers = load_file(texts), load_file(centroids)
    near, limits = _near(copies)
    kept = set(pd.read_parquet(selected, columns=["id"])["id"])
    groups = sorted(table["group"].unique())
    rng = np.random.default_rng(seed_of("quality", config.seed))
    some = {name: _sample(real_vectors[(real["group"] == name).to_numpy()], rng) for name in sorted(set(real["group"]))}
    names = {key: config.names[key] for key in ("dataset", "bias", "method")}
    rows = []
    for group in groups:
        own = (table["group"] == group).to_numpy()
        row = {**names, "group": group, "images": int(own.sum()), "real": len(some[group])}
        row |= _likeness(group, _sample(vectors[own], rng), vectors[own], some, words)
        row |= _counts(table[own], near[near["group"] == group], kept)
        label = table.loc[own, "clip_label"].to_numpy()
        centroid = vectors[own].astype(np.float64) @ centers[group].astype(np.float64) if group in centers else label
        table.loc[own, "score"] = clip_score(label, centroid, config.alpha[group], config.standardize)
        rows.append(row)
        LOGGER.info("%s: %s", group, row)
    _write(pd.DataFrame(rows), csv, summary, {**names, "near_copy": limits})
    table = table.sort_values(["score", "id"], ascending=[False, True])
    ranked = {group: table[table["group"] == group] for group in groups}
    title = ", ".join(names.values())
    _ranks(ranked, kept, config, f"{title}: best, at the cut and worst by CLIP score (green: kept, red: not)", sheet)
    _pairs(near, real, config.columns, f"{title}: closest pairs, generated above its training image", pairs)


def _write(figures: pd.DataFrame, csv: str, summary: str, head: dict[str, Any]) -> None:
    """Write the groups' figures as CSV, and below `head` as JSON, which has no NaN."""
    with atomic(csv) as path:
        figures.to_csv(path, index=False, float_format="%.6g", lineterminator="\n")
    groups = figures.astype(object).where(figures.notna(), None).to_dict("records")
    write_text(summary, json.dumps({**head, "groups": groups}, indent=1) + "\n")


def _likeness(
    group: str,
    drawn: np.ndarray,
    vectors: np.ndarray,
    real: dict[str, np.ndarray],
    words: dict[str, np.ndarray],
) -> dict[str, float]:
    """Return how a group's embeddings (`vectors`; `drawn`: a sample) agree with its words and its real images."""
    row: dict[str, float] = {}
    wanted = {"class": ("label", label_of(group)), "attribute": ("attribute", attribute_of(group))}
    for what, (kind, name) in wanted.items():
        row[f"{what}_agreement"] = agreement(vectors, words, kind, name)
        row[f"{what}_agreement_real"] = agreement(real[group], words, kind, name)
    row["kernel_distance"] = kernel_distance(drawn, real[group])
    others = [kernel_distance(real[group], real[other]) for other in real if other != group]
    row["kernel_distance_next_group"] = min(others, default=float("nan"))
    for measure in (mean_similarity, vendi_score):
        row[measure.__name__], row[f"{measure.__name__}_real"] = measure(drawn), measure(real[group])
    return row


def _counts(drawn: pd.DataFrame, near: pd.DataFrame, kept: set[str]) -> dict[str, float]:
    """Return the near copies, defects and kept ones among a group's images."""
    row = {"near_copies": int(near["copy"].sum()), "near_copies_share": float(near["copy"].mean())}
    row |= {name: int(drawn[name].sum()) for name in ("black", "flat", "redrawn")}
    defects = " ".join(drawn["defects"]).split()
    row |= {f"dropped_{kind.lower()}": defects.count(kind) for kind in DEFECTS}
    return row | {"kept": int(drawn["id"].isin(kept).sum())}


def agreement(vectors: np.ndarray, words: dict[str, np.ndarray], kind: str, name: str) -> float:
    """Return the share of embeddings (n, d) that are nearer to the text of `name` than to any other of its kind.

    Parameters
    ----------
    words
        Text embeddings as ``KIND/NAME``.
    """
    import numpy as np

    names = sorted(word for word in words if word.startswith(f"{kind}/"))
    if not len(vectors):
        return float("nan")
    nearest = (vectors @ np.stack([words[word] for word in names]).T).argmax(axis=1)
    return float((nearest == names.index(f"{kind}/{name}")).mean())


def clip_score(label: np.ndarray, centroid: np.ndarray, alpha: float, standardize: bool) -> np.ndarray:
    """Return eq. 1, as `select` has it: what it left out has no score in its file."""
    if standardize:
        label, centroid = ((x - x.mean()) / (x.std() or 1.0) for x in (label, centroid))
    return alpha * label + (1 - alpha) * centroid


def _synthetic(images: list[str], scores: list[str]) -> tuple[pd.DataFrame, np.ndarray]:
    """Return one row per image, with its defects, and the embeddings (n, d)."""
    import numpy as np
    import pandas as pd
    import pyarrow.parquet as pq

    tables, vectors = [], []
    for shard, path in zip(images, scores, strict=True):
        stored = pq.read_table(path)
        vectors.append(stored["embedding"].combine_chunks().flatten().to_numpy().reshape(len(stored), -1))
        part = stored.drop_columns("embedding").to_pandas().assign(shard=shard)
        part["defects"] = pq.read_table(shard, columns=["defects"])["defects"].to_pandas()
        part["redrawn"] = part["defects"] != ""
        left = [defect(np.asarray(open_rgb(png)) / 255) for _, png in iter_pngs(shard)]
        part["black"], part["flat"] = ([own == kind for own in left] for kind in ("black", "flat"))
        tables.append(part)
    table = pd.concat(tables, ignore_index=True)
    table["group"] = table["id"].str.split("/").str[0]
    return table, np.concatenate(vectors)


def _real(index: str, embeddings: str) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the training images of the original bias, and their embeddings (m, d)."""
    import pandas as pd
    from safetensors.numpy import load_file

    table = pd.read_parquet(index)
    table = table[table["split"] == "train"].reset_index(drop=True)
    table["group"] = [group_name(y, a) for y, a in zip(table["label"], table["attribute"], strict=True)]
    stored = load_file(embeddings)
    row_of = {bytes(key).hex(): row for row, key in enumerate(stored["sha256"])}
    return table, stored["embeddings"][[row_of[sha] for sha in table["sha256"]]]


def _near(copies: str) -> tuple[pd.DataFrame, dict[str, float]]:
    """Return one row per image with its closest training image, and the limits over which the two are near copies."""
    import pyarrow.parquet as pq

    stored = pq.read_table(copies)
    limits = {key: float(stored.schema.metadata[key.encode()]) for key in ("embedding", "pixels", "real_copies")}
    return stored.to_pandas(), limits


def _sample(vectors: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return vectors if len(vectors) <= SAMPLE else vectors[rng.permutation(len(vectors))[:SAMPLE]]


def _ranks(ranked: dict[str, pd.DataFrame], kept: set[str], config: QualityJob, title: str, figure: str) -> None:
    rows, n = [], config.columns
    for group, table in ranked.items():
        cut = min(max(round(config.fraction * len(table)) - n // 2, 0), max(0, len(table) - n))
        for what, part in (("best", table[:n]), ("cut", table[cut : cut + n]), ("worst", table[-n:])):
            pngs = {shard: read_pngs(shard) for shard in part["shard"].unique()}
            frames = [
                Frame("seagreen" if name in kept else "firebrick", pngs[shard][name], f"{score:.3f}")
                for name, shard, score in part[["id", "shard", "score"]].to_numpy()
            ]
            rows.append((f"{group}\n{what}", frames))
    draw_sheet(rows, title, figure)


def _pairs(near: pd.DataFrame, real: pd.DataFrame, columns: int, title: str, figure: str) -> None:
    """Draw each group's closest pairs; near copies have a red frame."""
    path_of = {row.id: Path(row.folder, row.path) for row in real.itertuples()}
    rows: list[tuple[str, list[Frame]]] = []
    for group, own in near.groupby("group"):
        closeness = own["nearest_cosine"] + own["nearest_correlation"]
        part = own.loc[closeness.sort_values(ascending=False, kind="stable").index]
        part = part.sort_values("copy", ascending=False, kind="stable").head(columns)
        pngs = {shard: read_pngs(shard) for shard in part["shard"].unique()}
        above, below = [], []
        for row in part.itertuples():
            color = "firebrick" if row.copy else "silver"
            words = f"{row.nearest_cosine:.3f}  {row.nearest_correlation:.3f}"
            above.append(Frame(color, pngs[row.shard][row.id], words))
            below.append(Frame(color, path_of[row.nearest]))
        rows += [(f"{group}\n{own['copy'].sum()} of {len(own)}", above), ("training", below)]
    draw_sheet(rows, f"{title}\n(cosine, correlation; red: near copy)", figure)
