"""`make new-dataset` writes a configuration that reads the data as they lie, in any form, and says what it lacks."""

import json
import os
import shutil
import subprocess
import zipfile
from collections import Counter
from pathlib import Path

import jsonschema
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from own_data import (
    ATTRIBUTES,
    EXPECTED,
    GROUPS,
    LABELS,
    ROOT,
    ROWS,
    found,
    indexed,
    main,
    png,
    refused,
    table,
    with_splits,
    write,
)

from fairdream.cli.new_dataset.trial import write_trial
from fairdream.config.root import load_config
from fairdream.errors import UserError


@pytest.mark.parametrize("file", ["metadata.csv", "birds.parquet"])
def test_a_folder_with_a_table_needs_its_name_alone(home, file, capsys):
    table(home, files=[file])
    main(["pets"])
    assert found(home) == EXPECTED
    told = capsys.readouterr().out
    assert "config/pets.yaml was written" in told
    assert "fairdream plan pets" in told
    assert "sea_lion-grass 0 0 0 drawn by the swap" in " ".join(told.split())
    assert "no test image of sea_lion-grass" in told


def test_the_configuration_is_commented_and_known_to_editors(home):
    table(home)
    main(["pets"])
    text = (home / "config/pets.yaml").read_text()
    assert text.startswith("# yaml-language-server: $schema=schema.json\n")
    raw = yaml.safe_load(text)
    jsonschema.Draft202012Validator(json.loads((ROOT / "config/schema.json").read_text())).validate(raw)
    paper = yaml.safe_load((ROOT / "config.yaml").read_text())
    assert {key for key in paper if raw[key] != paper[key]} == {"results", "biases", "datasets"}
    # the paper's comments are there, and every key of the data set has one above it or beside it
    assert "# optimiser" not in text
    assert "# weight of CLIP-Label against CLIP-Centroid, eq. 1" in text
    section = text.split("\n  pets:\n")[1].split("\n    prompts:")[0].splitlines()
    keys = [number for number, line in enumerate(section) if line[:4] == "    " and line[4].isalpha()]
    assert len(keys) >= 9
    lone = [section[n].strip() for n in keys if not section[n - 1].lstrip().startswith("#")]
    assert [line.split(":")[0] for line in lone] == ["attributes", "attribute_values"]  # pairs share a comment
    assert max(map(len, text.splitlines())) <= 200


def test_the_prompts_take_their_words_from_the_names(home):
    table(home)
    main(["pets"])
    own = load_config("config/pets.yaml").datasets["pets"]
    assert own.labels == {"cat": "cat", "dog": "dog", "sea_lion": "sea lion"}
    assert own.label_values == {"cat": "cat", "dog": "dog", "sea_lion": "sea-lion"}
    assert own.prompts.ffr.attributes["wet_sand"] == ["wet sand"]


def test_a_trial_has_the_data_as_they_were_edited_and_tiny_models(home, capsys):
    shutil.copy(ROOT / "config/demo.yaml", home / "config")
    (home / "resources/tiny-sd").mkdir(parents=True)
    table(home)
    main(["pets"])
    own = Path("config/pets.yaml")
    own.write_text(own.read_text().replace("sea lion", "walrus"))
    capsys.readouterr()
    assert write_trial(own) == Path("config/pets-trial.yaml")
    trial, whole = load_config("config/pets-trial.yaml"), load_config(own)
    assert trial.datasets == whole.datasets
    assert trial.datasets["pets"].labels["sea_lion"] == "walrus"
    assert trial.results == "results/pets-trial"
    assert trial.models.diffusion.id == "resources/tiny-sd"
    assert not trial.pretrain.overrides


def test_columns_with_other_names_are_asked_for_with_what_they_hold(home, capsys):
    table(home, columns=("img", "species", "ground", "fold"))
    assert "--image" in refused("pets")
    message = refused("pets", "--image", "img")
    for word in ("--label", "species: 3 value(s): cat, dog, sea-lion", "ground: 3 value(s): grass, snow, wet sand"):
        assert word in message
    assert "did you mean species?" in refused("pets", "--image", "img", "--label", "specie")
    too_many = refused("pets", "--image", "img", "--label", "img", "--attribute", "ground")
    assert f"img has {len(ROWS)} different value(s)" in too_many
    assert "--label" in too_many
    options = ["--image", "img", "--label", "species", "--attribute", "ground"]
    # `fold` holds words for splits alone: it is taken for the split, and that is said
    main(["pets", *options])
    assert found(home) == EXPECTED
    assert "the values of fold are words for splits" in capsys.readouterr().out
    Path("config/pets.yaml").write_text("results: mine\n")
    main(["pets", *options, "--split", "none", "--force"])
    assert Path("config/pets.yaml.old").read_text() == "results: mine\n"
    assert load_config("config/pets.yaml").datasets["pets"].held_out.test == 0.2


def test_numbers_are_named_after_their_column(home, capsys):
    codes = {"train": 0, "validation": 1, "test": 2}
    rows = [(n, LABELS.index(y), ATTRIBUTES.index(a) - 1, codes[s]) for n, y, a, s in with_splits()]
    table(home, rows, ("path", "y", "place", "split"), files=["metadata.parquet"])
    main(["pets"])
    read = indexed(home)
    assert set(read["label"]) == {"y_0", "y_1", "y_2"}
    assert set(read["attribute"]) == {"place_minus1", "place_0", "place_1"}
    assert Counter(read["split"]) == Counter(row[3] for row in with_splits())
    assert "write under `labels` what they stand for" in capsys.readouterr().out


def test_without_a_split_each_group_gets_seeded_shares_that_a_new_image_leaves_alone(home, capsys):
    table(home, ROWS, ("path", "label", "attribute"))
    main(["pets"])
    assert (
        "the table has no split: a seeded order takes 10 % for the validation and 20 % for the test"
        in capsys.readouterr().out
    )
    before = indexed(home)
    counts = Counter(zip(before["label"] + "-" + before["attribute"], before["split"], strict=True))
    for group, size in GROUPS.items():
        assert counts[group, "test"] == round(0.2 * size)
        assert counts[group, "validation"] == max(1, round(0.1 * size))
    write(home / "data/pets/images/more.png", png(999))
    table(home, [*ROWS, ("more.png", "dog", "snow")], ("path", "label", "attribute"))
    main(["pets", "--force"])
    after = indexed(home).set_index("id")["split"]
    moved = before.set_index("id")["split"]
    assert (after[moved.index] != moved).sum() <= 2
    main(["pets", "--force", "--test", "0.4", "--validation", "0.15"])
    assert Counter(indexed(home)["split"])["test"] == sum(round(0.4 * size) for size in GROUPS.values())


@pytest.mark.parametrize(
    "options", [["--test", "1.5"], ["--validation", "-0.1"], ["--validation", "0.6", "--test", "0.6"], ["--test", "0"]]
)
def test_shares_that_leave_no_images_or_no_test_are_refused(home, options):
    table(home, ROWS, ("path", "label", "attribute"))
    with pytest.raises(UserError, match=f"{options[0]} {float(options[1]):g}.*--test more than 0"):
        main(["pets", *options])


def test_a_split_that_is_lacking_alone_is_taken_from_the_training_images(home, capsys):
    rows = [(n, y, a, "train" if s == "validation" else s) for n, y, a, s in with_splits()]
    table(home, rows)
    main(["pets"])
    assert "by the column split, no image is for the validation" in capsys.readouterr().out
    splits = Counter(indexed(home)["split"])
    assert splits["test"] == sum(row[3] == "test" for row in rows)
    assert splits["validation"] >= 8
    assert "--test 0.3: the table has images for it" in refused("pets", "--force", "--test", "0.3")


def test_a_missing_attribute_is_counted_and_asks_for_a_choice(home, capsys):
    rows = [(n, y, None if number % 10 == 0 else a, s) for number, (n, y, a, s) in enumerate(with_splits())]
    missing = sum(row[2] is None for row in rows)
    table(home, rows)
    message = refused("pets")
    assert f"{missing} of {len(rows)} images have no attribute" in message
    for word in ("--missing drop", "--missing group"):
        assert word in message
    main(["pets", "--missing", "drop"])
    assert f"{missing} of {len(rows)} images have no attribute and are left out" in capsys.readouterr().out
    assert len(indexed(home)) == len(rows) - missing
    main(["pets", "--missing", "group", "--force"])
    assert (indexed(home)["attribute"] == "unknown").sum() == missing


def hugging_face_parquet(folder: Path) -> None:
    """As `datasets` pushes it: shards by split, images as structs, classes as numbers with names in the schema."""
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    features = {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": list(LABELS)}}
    for split in ("train", "validation", "test"):
        rows = [(n, row) for n, row in enumerate(with_splits()) if row[3] == split]
        for shard, part in enumerate((rows[::2], rows[1::2])):
            columns = {
                # names are no ids, and may be missing
                "image": pa.array([{"bytes": png(n), "path": None if n % 3 else "a.png"} for n, _ in part], image),
                "label": pa.array([LABELS.index(row[1]) for _, row in part], pa.int64()),
                "attribute": pa.array([row[2] for _, row in part]),
                "vector": pa.array([[1.0]] * len(part)),
            }
            written = pa.table(columns).replace_schema_metadata(
                {"huggingface": json.dumps({"info": {"features": features}})}
            )
            (folder / "data").mkdir(parents=True, exist_ok=True)
            pq.write_table(written, folder / f"data/{split}-0000{shard}-of-00002-ab12.parquet")


def metadata_by_split(folder: Path, form: str, encoding: str = "utf-8") -> None:
    """An imagefolder with a metadata file in the folder of each split."""
    for split in ("train", "validation", "test"):
        lines = []
        for number, (name, label, attribute, own) in enumerate(with_splits()):
            if own == split:
                write(folder / split / "img" / name, png(number))
                lines.append({"file_name": f"img/{name}", "label": label, "attribute": attribute})
        frame = pd.DataFrame(lines)
        if form == "jsonl":
            lines = frame.to_json(orient="records", lines=True)
            (folder / split / "metadata.jsonl").write_text(lines, encoding=encoding)
        else:
            frame.to_csv(folder / split / "metadata.csv", index=False)


def metadata_by_split_below_data(folder: Path) -> None:
    """As a repository of the hub has it."""
    metadata_by_split(folder / "data", "csv")
    for name in ("README.md", "LICENSE", ".gitattributes", "dataset_infos.json"):
        (folder / name).write_text("{}")


def metadata_at_the_top(folder: Path, column: str = "file_name") -> None:
    """An imagefolder with one metadata file: the folders in its paths are the splits."""
    lines = []
    for number, (name, label, attribute, split) in enumerate(with_splits()):
        write(folder / split / name, png(number))
        lines.append({column: f"{split}/{name}", "label": label, "attribute": attribute})
    pd.DataFrame(lines).to_json(folder / "metadata.jsonl", orient="records", lines=True)


def class_folders(folder: Path) -> None:
    for number, (name, label, attribute, split) in enumerate(with_splits()):
        write(folder / {"validation": "val"}.get(split, split) / label / attribute / name, png(number))


FORMS = {
    "Parquet with images": hugging_face_parquet,
    "metadata.jsonl by split": lambda folder: metadata_by_split(folder, "jsonl"),
    "metadata.csv by split": lambda folder: metadata_by_split(folder, "csv"),
    "metadata with a byte order mark": lambda folder: metadata_by_split(folder, "jsonl", "utf-8-sig"),
    "metadata by split below data": metadata_by_split_below_data,
    "metadata at the top": metadata_at_the_top,
    "metadata that say what the file is": lambda folder: metadata_at_the_top(folder, "image_file_name"),
    "class folders": class_folders,
}


@pytest.mark.parametrize("form", FORMS)
def test_the_forms_of_hugging_face_read_without_a_word_more(home, form):
    FORMS[form](home / "data/pets")
    main(["pets"])
    assert found(home) == EXPECTED
    stamps = {path: path.stat().st_mtime_ns for path in Path("data").rglob("*.png")}
    main(["pets", "--force"])  # again: the same, and no image is written anew
    assert found(home) == EXPECTED
    assert {path: path.stat().st_mtime_ns for path in Path("data").rglob("*.png")} == stamps


def test_an_unpacking_that_was_cut_off_is_completed(home):
    hugging_face_parquet(home / "data/pets")
    main(["pets"])
    image = min(Path("data/pets/unpacked").rglob("*.png"))
    whole = image.read_bytes()
    image.write_bytes(whole[:20])
    main(["pets", "--force"])
    assert image.read_bytes() == whole


def test_an_archive_is_unpacked_first(home):
    class_folders(home / "made/pets")
    with zipfile.ZipFile(home / "pets.zip", "w") as file:
        for path in sorted((home / "made").rglob("*.png")):
            file.write(path, path.relative_to(home / "made"))
    main(["pets", "--folder", "pets.zip"])
    assert found(home) == EXPECTED
    # a second call finds what the first one unpacked
    main(["pets", "--folder", "pets.zip", "--force"])
    assert found(home) == EXPECTED
    next(Path("data/pets").rglob("*.png")).unlink()
    assert "data/pets is there already" in refused("pets", "--folder", "pets.zip", "--force")


def test_the_one_folder_in_a_folder_is_taken_where_the_table_lies_in_it(home):
    table(home)
    (home / "unpacked").mkdir()
    (home / "data/pets").rename(home / "unpacked/pets")
    main(["pets", "--folder", "unpacked"])
    assert load_config("config/pets.yaml").datasets["pets"].folder == "unpacked/pets"
    assert found(home) == EXPECTED


def test_tables_that_were_written_carelessly(home):
    def told(*columns_and_rows: tuple, options=()) -> str:
        shutil.rmtree(home / "data", ignore_errors=True)
        columns, *rows = columns_and_rows
        table(home, rows, columns)
        return refused("pets", *options)

    names = ("path", "label", "attribute")
    alike = [(n, "Cat" if number == 3 else y, a) for number, (n, y, a) in enumerate(ROWS)]
    assert "'Cat' and 'cat' differ in case or blanks alone" in told(names, *alike)
    blank = [(n, y, "snow " if number == 40 else a) for number, (n, y, a) in enumerate(ROWS)]
    assert "differ in case or blanks alone" in told(names, *blank)
    assert "label is both label and attribute" in told(names, *ROWS, options=["--attribute", "label"])
    bare = [(n.removesuffix(".png"), y, a) for n, y, a in ROWS]
    shutil.rmtree(home / "data", ignore_errors=True)
    table(home)
    pd.DataFrame(bare, columns=names).to_csv("data/pets/metadata.csv", index=False)
    assert "write the endings into the table" in refused("pets")
    pd.DataFrame(ROWS, columns=names).to_csv("data/pets/metadata.csv", index=False, sep=";")
    assert "written with ';'; save it with commas" in refused("pets")
    assert "did you mean --folder data/pets?" in refused("pets", "--folder", "data/pets/metadata.csv")


def test_mistakes_are_told_with_what_would_be_right(home):
    table(home, files=["a.csv", "b.csv"])
    assert "several tables: a.csv, b.csv" in refused("pets")
    assert "a.csv, b.csv" in refused("pets", "--table", "c.csv")
    assert "did you mean data/pets?" in refused("pet")
    assert "no such folder" in refused("pets", "--folder", "elsewhere")
    for name in ("my-pets", "../pets", ""):
        assert "letters, digits" in refused(name)
    assert "choose another name" in refused("waterdigits")
    main(["pets", "--table", "a.csv"])
    assert "--force" in refused("pets", "--table", "a.csv")
    for missing in (ROWS[0][0], ROWS[-1][0]):
        path = Path("data/pets/images", missing)
        path.rename("kept.png")
        message = refused("pets", "--table", "a.csv", "--force")
        assert f"1 of its {len(ROWS)} images are not in data/pets/images, first {missing}" in message
        Path("kept.png").rename(path)
    Path("data/pets/images", ROWS[-1][0]).unlink()
    for path, word in (("/etc/a.png", "must be relative"), ("../a.png", "must be relative")):
        table(home, [(path, "cat", "grass", "train")], files=["a.csv"])
        assert word in refused("pets", "--table", "a.csv", "--force")
    write(home / "data/pets/images/a.svg", png(0))
    table(home, [("a.svg", "cat", "grass", "train"), ("./cg01.png", "dog", "snow", "test")], files=["a.csv"])
    assert "names of images end in" in refused("pets", "--table", "a.csv", "--force")
    (home / "data/empty").mkdir()
    assert "neither a table" in refused("empty")


def test_images_by_class_alone_lack_an_attribute(home):
    for number, (name, label, _) in enumerate(ROWS):
        write(home / "data/pets" / label / name, png(number))
    assert "no column has a usual name for the attribute" in refused("pets")


def test_a_split_with_a_word_that_is_none(home):
    table(home, [(n, y, a, "holdout" if s == "test" else s) for n, y, a, s in with_splits()])
    message = refused("pets")
    for word in ("'holdout' is no split", "--split none"):
        assert word in message
    main(["pets", "--split", "none"])
    assert set(indexed(home)["split"]) == {"train", "validation", "test"}


def test_too_few_images_are_told_after_the_file_is_written(home):
    rows = [row for row in with_splits() if row[1] != "cat"] + [(ROWS[0][0], "cat", "grass", "train")]
    table(home, rows)
    message = refused("pets")
    for word in ("config/pets.yaml was written, but is not ready", "cat-grass has 1 training images"):
        assert word in message
    assert Path("config/pets.yaml").is_file()


def test_without_data_the_configuration_is_an_example(home, capsys):
    main(["birds"])
    assert load_config("config/birds.yaml").datasets["birds"].folder == "data/birds"
    assert "data/birds is not there" in capsys.readouterr().out


def test_make_hands_over_what_is_written_and_nothing_of_the_environment(home):
    command = ["make", "-n", "-f", str(ROOT / "Makefile"), "-o", "setup", "new-dataset"]
    variables = {**os.environ, "LABEL": "from elsewhere", "NAME": "machine"}
    done = subprocess.run(
        [*command, "NAME=birds", "ATTRIBUTE=my place", "SPLIT_VALUES=train=0"],
        env=variables,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    words = done.stdout.replace("\\\n", " ")
    assert "fairdream new-dataset 'birds'" in words
    assert "--attribute 'my place'" in words
    assert "--split-values 'train=0'" in words
    assert "--label" not in words
    wrong = subprocess.run([*command, "NAME=birds", "SPLITS=part"], env=variables, capture_output=True, text=True)
    assert wrong.returncode != 0
    assert "SPLITS: no option of new-dataset" in wrong.stderr
    trial = subprocess.run([*command[:-1], "trial", "NAME=birds"], env=variables, capture_output=True, text=True)
    assert "fairdream trial 'birds'" in trial.stdout
    lone = subprocess.run(command, env=variables, capture_output=True, text=True)
    assert lone.returncode != 0
    assert "make new-dataset NAME=birds" in lone.stderr
