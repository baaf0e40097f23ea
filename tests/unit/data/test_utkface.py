"""UTKFace's table from file names."""

from collections import Counter

import pandas as pd
import pytest

from fairdream.data import utkface
from fairdream.errors import UserError


def names(age, gender, count, first=0):
    return [f"{age}_{gender}_0_2017{number:013d}.jpg.chip.jpg" for number in range(first, first + count)]


@pytest.fixture
def folder(tmp_path):
    faces = [*names(25, 0, 40), *names(3, 0, 60), *names(50, 1, 90, 40), *names(5, 1, 50)]
    faces += [
        "39_1_20170116174525125.jpg.chip.jpg",
        *names(51, 0, 2),
        *names(10, 1, 3),
        *names("x", 0, 1),
        *names(3, 3, 1),
    ]
    (tmp_path / "images").mkdir()
    for name in faces:
        (tmp_path / "images" / name).touch()
    return tmp_path


def table(folder) -> pd.DataFrame:
    return pd.read_csv(folder / "metadata.csv", dtype=str)


def test_what_is_left_out_is_counted(folder, capsys):
    utkface.write_metadata(folder)
    printed = capsys.readouterr().out
    assert "left out: 1, a name without four parts" in printed
    assert "left out: 5, an age of neither group" in printed
    assert "left out: 2, an age or gender that is none" in printed
    rows = table(folder)
    assert not rows["path"].duplicated().any()
    adults = rows["path"].str.startswith(("25_", "50_"))
    assert (rows.loc[adults, "age_group"] == "old").all()
    assert (rows.loc[~adults, "age_group"] == "young").all()
    female = rows["path"].str.split("_").str[1] == "1"
    assert (rows["gender"] == "female").equals(female)


def test_the_seeded_split_keeps_a_tenth_of_conflicting_faces_in_training(folder, capsys):
    utkface.write_metadata(folder)
    rows = table(folder)
    for kind in ("validation", "test"):
        groups = Counter(rows[rows["split"] == kind]["gender"] + "-" + rows[rows["split"] == kind]["age_group"])
        assert groups == {"male-old": 4, "male-young": 6, "female-old": 9, "female-young": 5}
    train = rows[rows["split"] == "train"]
    groups = Counter(train["gender"] + "-" + train["age_group"])
    assert groups == {"male-old": 6, "male-young": 48, "female-old": 72, "female-young": 8}
    printed = capsys.readouterr().out
    for group, count in groups.items():
        assert f"  {group}: {count}\n" in printed
    first = (folder / "metadata.csv").read_text()
    utkface.write_metadata(folder)
    assert (folder / "metadata.csv").read_text() == first
    utkface.write_metadata(folder, seed=1)
    assert (folder / "metadata.csv").read_text() != first


def test_a_list_of_the_split_is_followed(folder, capsys):
    listed = [(names(25, 0, 1)[0], "train"), (names(3, 0, 1)[0], "test")]
    pd.DataFrame(listed, columns=["path", "split"]).to_csv(folder / "list.csv", index=False)
    utkface.write_metadata(folder, folder / "list.csv")
    assert table(folder)[["path", "split"]].to_numpy().tolist() == sorted(map(list, listed))
    assert "not in the split's list" in capsys.readouterr().out
    (folder / "list.csv").write_text("path,split\n10_1_0_20170000000000000.jpg.chip.jpg,train\n")
    with pytest.raises(UserError, match="row 2: no face 10_1"):
        utkface.write_metadata(folder, folder / "list.csv")
    (folder / "list.csv").write_text("name\nx\n")
    with pytest.raises(UserError, match="columns path and split"):
        utkface.write_metadata(folder, folder / "list.csv")


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(UserError, match="images: not found"):
        utkface.write_metadata(tmp_path)


def test_what_is_no_face_by_its_ending_or_place_is_told(folder, capsys):
    utkface.write_metadata(folder)
    first = (folder / "metadata.csv").read_text()
    images = folder / "images"
    for name in (f"._{names(25, 0, 1)[0]}", "Thumbs.db", "25_0_0_2017.jpg.chip.heic", "part1/25_0_0_2018.jpg.chip.jpg"):
        (images / name).parent.mkdir(exist_ok=True)
        (images / name).touch()
    utkface.write_metadata(folder)
    assert (folder / "metadata.csv").read_text() == first
    printed = capsys.readouterr().out
    assert "left out: 1, in a folder of its own" in printed
    assert f"{images}: passed over, as no images: 1 ._*, 1 .heic, 1 Thumbs.db" in printed
    face = images / names(25, 0, 1)[0]
    face.rename(face.with_suffix(".JPG"))
    utkface.write_metadata(folder)
    assert len(table(folder)) == len(first.splitlines()) - 1
