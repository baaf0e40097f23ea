"""The table of labels that predictions are compared with: no accuracy is wrong without a word."""

import pandas as pd
import pytest
from PIL import Image

from fairdream.classification.predict import find
from fairdream.classification.truth import group_accuracies, images_of, match
from fairdream.errors import UserError

CLASSES = ["cat", "dog"]


@pytest.fixture
def folder(tmp_path):
    """Four images: `0.png` to `3.png`."""
    for number in range(4):
        picture(tmp_path / f"{number}.png")
    return tmp_path


def picture(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4)).save(path)


def table(folder, *rows):
    """Write a table of `path,label,attribute`."""
    (folder / "table.csv").write_text("\n".join(["path,label,attribute", *rows]) + "\n")
    return folder / "table.csv"


def matched(truth, *images):
    return match(find(images or images_of(truth))[0], CLASSES, truth)


def accuracies(rows, images, predicted="dog"):
    return group_accuracies(pd.DataFrame({"path": [str(path) for path in images], "predicted": predicted}), rows)


def test_labels_that_are_no_class_are_refused_with_their_number_and_the_class_that_is_near(folder):
    truth = table(folder, "0.png,dog,in", "1.png,Dog,in", "2.png,fox,in", "3.png,Dog,in")
    with pytest.raises(UserError, match="no class of the classifier") as refused:
        matched(truth, folder)
    assert "'Dog' (2 image(s), first in row 3; is it 'dog'?), 'fox' (1 image(s), first in row 4)" in str(refused.value)
    assert "its classes are cat, dog" in str(refused.value)
    # that of an image which is not compared is nobody's matter
    assert len(matched(truth, folder / "0.png")[0]) == 1
    with pytest.raises(UserError, match="is it 'cat'"):
        matched(table(folder, "0.png,cat ,in"))


def test_images_without_a_label_or_an_attribute_have_no_group_and_are_counted(folder):
    truth = table(folder, "0.png,dog,in", "1.png,,out", "2.png, ,out", "3.png,cat,")
    rows, notes = matched(truth)
    assert [row.group for row in rows.values()] == ["dog-in"]
    assert "2 of 4 image(s) have an empty label, first " in notes[0]
    assert "1.png" in notes[0]
    assert "1 of 4 image(s) have an empty attribute, first " in notes[1]
    assert len(notes) == 2
    text = accuracies(rows, find([folder])[0])
    assert text == "dog-in  100.0 %  1 of 1\nworst group 100.0 %, mean over groups 100.0 %, all images 100.0 %"
    with pytest.raises(UserError, match="no image has both a label and an attribute"):
        matched(table(folder, "0.png,,in", "1.png,dog,"), folder)


@pytest.mark.parametrize("again", ["0.png,cat,in", "0.png,dog,in", "./0.png,dog,out", "link/0.png,dog,in"])
@pytest.mark.parametrize("named", [True, False])
def test_an_image_with_two_rows_is_refused_with_both(folder, again, named):
    (folder / "link").symlink_to(folder)
    truth = table(folder, "1.png,cat,in", "0.png,dog,in", again)
    with pytest.raises(UserError, match=r"0\.png has two rows: row 3 \(dog-in\) and row 4 \(") as refused:
        matched(truth, *([folder / "0.png"] if named else []))
    assert str(truth) in str(refused.value)


def test_an_image_that_is_named_twice_counts_once(folder, monkeypatch):
    monkeypatch.chdir(folder)
    whole = find([folder])[0]
    assert find([folder, folder / "0.png", "1.png", folder / ".." / folder.name])[0] == whole
    assert [path.name for path in find(["3.png", folder])[0]] == ["3.png", "0.png", "1.png", "2.png"]
    rows, _ = matched(table(folder, *(f"{number}.png,dog,in" for number in range(4))), folder, "2.png")
    assert "4 of 4" in accuracies(rows, whole)


def test_links_to_one_file_are_images_of_their_own(folder):
    """As in data sets whose files are links into a store of contents."""
    (folder / "again.png").symlink_to(folder / "0.png")
    rows, _ = matched(table(folder, "0.png,dog,in", "again.png,dog,in"))
    assert len(rows) == 2


def test_images_without_a_row_are_counted(folder):
    rows, notes = matched(table(folder, "0.png,dog,in"), folder)
    assert len(rows) == 1
    assert len(notes) == 1
    assert "3 of 4 image(s) have no row, first" in notes[0]
    assert "1.png" in notes[0]


def test_rows_of_images_that_are_not_given_are_counted(folder):
    """A group whose files are not there would be missing among the accuracies without a word."""
    truth = table(folder, "0.png,dog,in", "gone.png,cat,in", "1.png,dog,in")
    rows, notes = matched(truth, folder / "0.png")
    assert len(rows) == 1
    assert notes == [f"{truth}: 2 of 3 rows are of images that were not given, first row 3: gone.png"]


def test_a_path_that_fits_several_images_is_refused(folder):
    for name in ("a", "b"):
        picture(folder / "two" / name / "x.png")
        picture(folder / "two" / name / f"{name}.png")
    truth = table(folder / "two", "x.png,dog,in")
    for images in ((), (folder / "two",)):
        with pytest.raises(UserError, match=r"row 2: x\.png fits several images \(.*a/x\.png, .*b/x\.png\)"):
            matched(truth, *images)
    # the folder says which one is meant, in the path or by the images that are given
    rows, _ = matched(table(folder / "two", "b/x.png,dog,in"), folder / "two")
    assert list(rows) == [str(folder / "two/b/x.png")]
    rows, _ = matched(table(folder / "two", "x.png,dog,in"), folder / "two/b")
    assert list(rows) == [str(folder / "two/b/x.png")]


def test_what_no_path_can_be_is_refused_with_its_row(folder):
    with pytest.raises(UserError, match="row 3 names no image: its path is empty"):
        matched(table(folder, "0.png,dog,in", ",dog,in"))
    with pytest.raises(UserError, match=r"row 2: path: 'https://x/0\.png' is an address"):
        matched(table(folder, "https://x/0.png,dog,in"))
