"""Distance, diversity and near copies against loops in float64, and planted copies that must be found."""

import io
import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageEnhance, ImageFilter, ImageOps
from safetensors.numpy import load_file, save_file

from fairdream.curation.deduplicate import distinct
from fairdream.curation.distribution_metrics import kernel_distance, mean_similarity, vendi_score
from fairdream.curation.near_copies import CopiesJob, copies
from fairdream.curation.nearest_neighbors import nearest, thumbnail
from fairdream.data.images import encode_png, write_shard
from fairdream.errors import UserError


def unit(rng, *shape):
    values = rng.standard_normal(shape)
    return (values / np.linalg.norm(values, axis=-1, keepdims=True)).astype(np.float32)


def dot(x, y) -> float:
    return math.fsum(float(u) * float(v) for u, v in zip(x, y, strict=True))


def test_the_kernel_distance_is_the_sum_over_pairs():
    rng = np.random.default_rng(0)
    one, other = unit(rng, 7, 5), unit(rng, 9, 5)

    def within(x):
        pairs = [(dot(a, b) + 1) ** 3 for i, a in enumerate(x) for j, b in enumerate(x) if i != j]
        return math.fsum(pairs) / len(pairs)

    between = math.fsum((dot(a, b) + 1) ** 3 for a in one for b in other) / 63
    assert kernel_distance(one, other) == pytest.approx(within(one) + within(other) - 2 * between, abs=1e-12)
    assert math.isnan(kernel_distance(one[:1], other))


def test_the_kernel_distance_is_unbiased_and_grows_with_the_shift():
    rng = np.random.default_rng(1)
    shift = np.array([1.0, 0, 0, 0])

    def draw(amount):
        values = rng.standard_normal((40, 4)) + amount * shift
        return (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)

    same = np.array([kernel_distance(draw(0), draw(0)) for _ in range(200)])
    assert abs(same.mean()) < 3 * same.std() / math.sqrt(len(same))
    assert (same < 0).any()
    assert np.mean([kernel_distance(draw(0), draw(1)) for _ in range(20)]) > 3 * same.std()


def test_diversity_equals_its_definitions():
    rng = np.random.default_rng(2)
    for n, d in ((6, 4), (4, 9)):
        z = unit(rng, n, d)
        pairs = [dot(z[i], z[j]) for i in range(n) for j in range(n) if i != j]
        assert mean_similarity(z) == pytest.approx(math.fsum(pairs) / len(pairs), abs=1e-9)
        similar = np.array([[dot(a, b) for b in z] for a in z])
        weights = [w for w in np.linalg.eigvalsh(similar / n) if w > 1e-12]
        assert vendi_score(z) == pytest.approx(math.exp(-math.fsum(w * math.log(w) for w in weights)), rel=1e-6)


def test_equal_images_count_as_one_and_orthogonal_ones_each():
    assert vendi_score(np.tile(np.eye(5, dtype="f4")[:1], (8, 1))) == pytest.approx(1)
    assert vendi_score(np.eye(5, dtype="f4")) == pytest.approx(5)
    assert mean_similarity(np.eye(5, dtype="f4")) == pytest.approx(0)


# ---- Near copies


def picture(rng) -> Image.Image:
    """A picture of random blobs: unlike any other."""
    small = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
    return small.resize((48, 48), Image.Resampling.BICUBIC)


def jpeg(image):
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=40)
    return Image.open(buffer).convert("RGB")


EDITS = {
    "the same": lambda image: image,
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.25),
    "less contrast": lambda image: ImageEnhance.Contrast(image).enhance(0.5),
    "blurred": lambda image: image.filter(ImageFilter.GaussianBlur(1)),
    "compressed": jpeg,
    "mirrored": ImageOps.mirror,
    "smaller": lambda image: image.resize((24, 24)),
}


def embed(images) -> np.ndarray:
    """A stand-in for CLIP: where it is brighter and darker than on average, left and right alike."""
    values = []
    for image in images:
        small = np.asarray(image.resize((4, 4), Image.Resampling.BOX), float)
        both = (small + small[:, ::-1] - 2 * small.mean()).ravel()
        values.append(both / np.linalg.norm(both))
    return np.array(values, np.float32)


@pytest.fixture
def planted(tmp_path):
    """Sixty training images, and a shard in which every edit of a training image stands among new ones."""
    rng = np.random.default_rng(3)
    train = [picture(rng) for _ in range(60)]
    new = [picture(rng) for _ in range(40)]
    drawn = [edit(train[n]) for n, edit in enumerate(EDITS.values())] + new
    keys = rng.integers(0, 256, (60, 32), dtype=np.uint8)
    save_file({"embeddings": embed(train), "sha256": keys}, tmp_path / "embeddings.safetensors")
    save_file({"thumbnails": np.stack([thumbnail(i) for i in train]), "sha256": keys}, tmp_path / "small.safetensors")
    rows = [{"id": f"{n}.png", "split": "train", "sha256": bytes(keys[n]).hex(), "group": "a-x"} for n in range(60)]
    pd.DataFrame(rows).to_parquet(tmp_path / "split.parquet")
    names = [f"a-x/s/{n:06d}" for n in range(len(drawn))]
    write_shard(
        tmp_path / "shard.parquet",
        [{"id": name, "image": encode_png(image)} for name, image in zip(names, drawn, strict=True)],
        {},
    )
    scores = pd.DataFrame({"id": names, "clip_label": 0.2})
    table = pa.Table.from_pandas(scores, preserve_index=False)
    flat = embed(drawn)
    table = table.append_column("embedding", pa.FixedSizeListArray.from_arrays(pa.array(flat.ravel()), flat.shape[1]))
    pq.write_table(table, tmp_path / "scores.parquet")
    scores.assign(group="a-x").to_parquet(tmp_path / "selected.parquet")
    return tmp_path


def find(folder, **values) -> pd.DataFrame:
    config = CopiesJob(**{"quantile": 0.99, "embedding": 0.9, "pixels": 0.9, "seed": 0, **values})
    paths = [str(folder / f"{n}") for n in ("split.parquet", "embeddings.safetensors", "small.safetensors")]
    shard, scores = str(folder / "shard.parquet"), str(folder / "scores.parquet")
    copies(*paths, [shard], [scores], str(folder / "copies.parquet"), config)
    return pd.read_parquet(folder / "copies.parquet")


def test_planted_copies_are_found_whatever_was_done_to_them_and_nothing_else(planted):
    found = find(planted)
    for n, name in enumerate(EDITS):
        assert found["copy"][n], (name, found.loc[n].to_dict())
        assert found["nearest"][n] == f"{n}.png", name
    assert not found["copy"][len(EDITS) :].any()


def test_an_image_near_in_the_embedding_alone_or_in_pixels_alone_is_no_copy(planted):
    rng = np.random.default_rng(4)
    e, other = unit(rng, 2, 8)
    t, different = (rng.integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)[n][None] for n in range(2))
    for embedding, small in ((e, different), (other, t)):
        found = nearest(embedding[None], small, e[None], t, (0.9, 0.9))
        assert max(found.cosine[0], found.correlation[0]) > 0.99
        assert not (found.both_cosine[0] >= 0.9 and found.both_correlation[0] >= 0.9)


def test_the_nearest_equal_a_loop_over_all_pairs_and_leave_the_image_itself_out():
    rng = np.random.default_rng(5)
    z, t = unit(rng, 300, 6), rng.integers(0, 256, (300, 4, 4, 3), dtype=np.uint8)
    found = nearest(z, t, z, t, own=np.arange(300))
    for i in (0, 255, 256, 299):
        others = [j for j in range(300) if j != i]
        cosine = {j: dot(z[i], z[j]) for j in others}
        both = {}
        for j in others:
            views = (t[j], t[j][:, ::-1])
            both[j] = max(np.corrcoef(t[i].ravel().astype(float), v.ravel().astype(float))[0, 1] for v in views)
        assert found.by_embedding[i] == max(cosine, key=cosine.get)
        assert found.correlation[i] == pytest.approx(max(both.values()), abs=1e-5)
        assert found.by_pixels[i] == max(both, key=both.get)
        assert found.by_both[i] == max(others, key=lambda j: min(cosine[j], both[j]))


def test_thresholds_rise_where_training_images_are_near_to_one_another(planted):
    find(planted)
    before = {k.decode(): v for k, v in pq.read_schema(planted / "copies.parquet").metadata.items()}
    stored = load_file(planted / "small.safetensors")
    stored["thumbnails"][30:] = stored["thumbnails"][:30]
    save_file(stored, planted / "small.safetensors")
    find(planted)
    after = {k.decode(): v for k, v in pq.read_schema(planted / "copies.parquet").metadata.items()}
    assert float(before["pixels"]) == 0.9
    assert float(after["pixels"]) > 0.999
    assert float(before["real_copies"]) == 0


def test_a_selection_loses_its_near_copies_and_stops_when_nothing_is_left(planted):
    find(planted)
    out = planted / "distinct.parquet"
    distinct(str(planted / "selected.parquet"), str(planted / "copies.parquet"), str(out))
    assert len(pd.read_parquet(out)) == 40
    table = pd.read_parquet(planted / "copies.parquet").assign(copy=True)
    table.to_parquet(planted / "copies.parquet")
    with pytest.raises(UserError, match=r"a-x.*near copies.*audits\.copy_embedding"):
        distinct(str(planted / "selected.parquet"), str(planted / "copies.parquet"), str(out))


def test_a_flat_image_correlates_with_nothing():
    flat = np.full((1, 16, 16, 3), 90, np.uint8)
    found = nearest(np.eye(1, dtype="f4"), flat, np.eye(1, dtype="f4"), flat)
    assert found.correlation[0] == 0
