"""The biased training sets have the published sizes, and contain each other."""

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from fairdream.data.groups import aligned_groups, attribute_of, counts_at, group_name, label_of
from fairdream.data.split import split
from fairdream.errors import UserError

UTKFACE = {"male-old": 103, "male-young": 934, "female-old": 5731, "female-young": 636}
WATERBIRDS = {"landbird-land": 3498, "landbird-water": 184, "waterbird-land": 56, "waterbird-water": 1057}
CELEBA = {"dark-female": 71629, "dark-male": 66874, "blond-female": 22880, "blond-male": 1387}


def test_a_group_name_gives_back_its_parts():
    assert (label_of(group_name("a", "b")), attribute_of(group_name("a", "b"))) == ("a", "b")


@pytest.mark.parametrize(
    ("bias", "male_old", "female_young"),
    [
        ("original", 103, 636),
        ("0.9", 103, 636),
        ("0.95", 50, 302),
        ("0.97", 29, 178),
        ("0.99", 10, 58),
        ("0.999", 1, 6),
    ],
)
def test_utkface_has_the_sizes_of_the_published_lists(bias, male_old, female_young):
    assert counts_at(UTKFACE, bias) == {
        "male-old": male_old,
        "male-young": 934,
        "female-old": 5731,
        "female-young": female_young,
    }


def test_waterbirds_and_celeba_at_the_severe_ratio():
    assert counts_at(WATERBIRDS, "0.999") == WATERBIRDS | {"landbird-water": 4, "waterbird-land": 2}
    assert counts_at(CELEBA, "0.999") == CELEBA | {"dark-female": 67, "blond-male": 23}


def test_the_overall_rule_shares_the_ratio_among_the_conflicting_groups():
    kept = counts_at(CELEBA, "0.999", "overall")
    assert {group: kept[group] for group in ("dark-male", "blond-female")} == {
        "dark-male": 66874,
        "blond-female": 22880,
    }
    conflicting = kept["dark-female"] + kept["blond-male"]
    total = sum(kept.values())
    assert 0.001 * total <= conflicting <= 0.001 * total + 2, "rounded up in each group"
    assert kept["dark-female"] / kept["blond-male"] == pytest.approx(71629 / 1387, rel=0.5)
    assert counts_at(WATERBIRDS, "original", "overall") == WATERBIRDS


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        (UTKFACE, {"male": "male-young", "female": "female-old"}),
        (WATERBIRDS, {"landbird": "landbird-land", "waterbird": "waterbird-water"}),
        # most dark-haired people in CelebA are female, but male is what dark hair is associated with
        (CELEBA, {"dark": "dark-male", "blond": "blond-female"}),
    ],
)
def test_a_label_is_aligned_with_the_attribute_it_is_associated_with(counts, expected):
    assert aligned_groups(counts) == expected


def test_an_independent_attribute_aligns_the_largest_group_and_then_the_first_by_name():
    assert aligned_groups({"a-x": 10, "a-y": 20, "b-x": 30, "b-y": 60}) == {"a": "a-y", "b": "b-y"}
    assert aligned_groups({"a-y": 5, "a-x": 5, "b-x": 5, "b-y": 5}) == {"a": "a-x", "b": "b-x"}


def test_the_order_of_the_groups_does_not_matter():
    assert aligned_groups(dict(reversed(CELEBA.items()))) == aligned_groups(CELEBA)


def test_three_attributes_share_the_conflicting_images_in_proportion():
    counts = {"a-x": 9000, "a-y": 600, "a-z": 300, "b-x": 100, "b-y": 9000, "b-z": 50}
    kept = counts_at(counts, "0.99")
    # 9000 / 99 = 90.9 conflicting images of class a, two thirds and a third, rounded up
    assert (kept["a-x"], kept["a-y"], kept["a-z"]) == (9000, 61, 31)
    assert kept["b-y"] == 9000


@pytest.mark.parametrize("counts", [UTKFACE, WATERBIRDS, CELEBA])
def test_a_more_biased_set_never_has_more_of_a_group_and_never_none(counts):
    last = counts_at(counts, "original")
    for ratio in ("0.6", "0.8", "0.9", "0.95", "0.99", "0.999", "0.9999"):
        kept = counts_at(counts, ratio)
        assert all(1 <= kept[group] <= last[group] for group in counts)
        last = kept
    assert last != counts


@pytest.fixture
def index(tmp_path):
    """An index with 60/20/5/40 training images and some for testing."""
    counts = {"a-x": 60, "a-y": 20, "b-x": 5, "b-y": 40}
    rows = [
        {"id": f"{group}/{number}.png", "split": part, "label": group[0], "attribute": group[-1]}
        for group, count in counts.items()
        for part, first, last in (("train", 0, count), ("test", count, count + 3))
        for number in range(first, last)
    ]
    pd.DataFrame(rows).to_parquet(tmp_path / "index.parquet", index=False)
    return tmp_path / "index.parquet", counts


def chosen(index, counts, bias, seed=0, name="split.parquet"):
    out = index.with_name(name)
    split(str(index), None, str(out), counts_at(counts, bias), "", seed)
    return pd.read_parquet(out)


def test_the_split_of_a_higher_ratio_is_a_subset_and_the_test_set_stays(index):
    path, counts = index
    last = chosen(path, counts, "original")
    assert last[last["split"] == "train"]["group"].value_counts().to_dict() == counts
    test_rows = set(last[last["split"] == "test"]["id"])
    assert len(test_rows) == 12
    for bias in ("0.8", "0.9", "0.95", "0.99"):
        rows = chosen(path, counts, bias)
        train = rows[rows["split"] == "train"]
        assert train["group"].value_counts().to_dict() == counts_at(counts, bias)
        assert set(train["id"]) < set(last[last["split"] == "train"]["id"])
        assert set(rows[rows["split"] == "test"]["id"]) == test_rows
        last = rows


def test_the_split_depends_on_the_seed_and_not_on_the_order_of_rows(index):
    path, counts = index
    first = chosen(path, counts, "0.9")
    table = pd.read_parquet(path)
    shuffled = path.with_name("shuffled.parquet")
    table.iloc[np.random.default_rng(1).permutation(len(table))].to_parquet(shuffled, index=False)
    pd.testing.assert_frame_equal(first, chosen(shuffled, counts, "0.9"))
    assert set(first["id"]) != set(chosen(path, counts, "0.9", seed=1)["id"])


def test_a_split_of_the_user_s_own_names_the_images_that_stay(index):
    path, _ = index
    table = pd.read_parquet(path)
    train = table[table["split"] == "train"]
    group = train["label"] + "-" + train["attribute"]
    few = train.groupby(group).head(3)
    keep = group[few.index].value_counts().to_dict()
    own = path.with_name("own.csv")
    few.rename(columns={"id": "path"})[["path"]].to_csv(own, index=False)
    out = path.with_name("own.parquet")
    split(str(path), str(own), str(out), keep, "", 0)
    rows = pd.read_parquet(out)
    assert set(rows[rows["split"] == "train"]["id"]) == set(few["id"])
    assert (rows["split"] == "test").sum() == (table["split"] == "test").sum()
    with pytest.raises(UserError, match="train_counts says"):
        split(str(path), str(own), str(out), {**keep, next(iter(keep)): 4}, "", 0)
    test_image = table[table["split"] == "test"]["id"].iloc[0]
    own.write_text(f"path\n{few['id'].iloc[0]}\n{test_image}\n")
    with pytest.raises(UserError, match=f"row 3: {test_image} is no training image"):
        split(str(path), str(own), str(out), keep, "", 0)


def test_a_split_s_counts_stand_in_its_metadata(index):
    path, counts = index
    chosen(path, counts, "0.9")
    metadata = pq.read_schema(path.with_name("split.parquet")).metadata
    expected = {f"train_{group}".encode(): str(count).encode() for group, count in counts_at(counts, "0.9").items()}
    assert expected.items() <= metadata.items()


@pytest.mark.parametrize("rule", ["class", "overall"])
def test_a_group_without_images_has_none_at_any_ratio_and_aligns_nothing(rule):
    counts = {"a-x": 900, "a-y": 0, "a-z": 90, "b-x": 0, "b-y": 900, "b-z": 0}
    assert aligned_groups(counts) == {"a": "a-x", "b": "b-y"}
    kept = counts_at(counts, "0.99", rule)
    assert (kept["a-y"], kept["b-x"], kept["b-z"]) == (0, 0, 0)
    assert (kept["a-x"], kept["b-y"]) == (900, 900)
    assert kept["a-z"] == {"class": 10, "overall": 19}[rule]
