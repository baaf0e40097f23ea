"""`fairdream infer-attributes`: the table and the configuration that it writes are a run like any other's."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import yaml
from own_data import GROUPS, ROWS, indexed, main, refused, table

from fairdream.cli import infer_attributes, runs
from fairdream.config.root import load_config
from fairdream.errors import UserError
from fairdream.planning import inference, report_params

WORDS = ("--attribute-words", "ground=on grass,on a meadow", "--attribute-words", "in snow")


@pytest.fixture
def pets(home):
    """Images with a class alone, in `home`."""
    table(home, [(name, label) for name, label, _ in ROWS], ("path", "label"))
    return home


def run_of(name: str) -> runs.Run:
    return runs.Run((f"config/{name}.yaml",), "profiles/local")


def infer(home: Path, name: str, way: str, value_of) -> str:
    """Write what the jobs would have, and the table and configuration of it."""
    index = indexed(home, name)
    config = load_config(f"config/{name}.yaml")
    folder = Path(config.results, name, "inferred")
    folder.mkdir(parents=True)
    index.to_parquet(folder.parent / "index.parquet")
    rows = index[["id", "split", "label"]].assign(attribute=[value_of(row) for row in index.itertuples()])
    rows.assign(confidence=0.75).to_csv(folder / f"{way}.csv", index=False)
    return infer_attributes.write(run_of(name), config, name, way, runs.values_of(run_of(name)))


def by_name(row) -> str:
    return "ground" if Path(row.id).name[1] == "g" else "in_snow"


def test_data_with_classes_alone_get_a_configuration_that_says_what_is_next(pets, capsys):
    main(["pets", "--attribute", "unknown"])
    assert "infer-attributes pets" in capsys.readouterr().out
    own = load_config("config/pets.yaml").datasets["pets"]
    assert own.attributes == {"unknown": ""}
    assert own.inference.words is None
    assert set(own.train_counts) == {"cat-unknown", "dog-unknown", "sea_lion-unknown"}
    assert set(indexed(pets)["attribute"]) == {"unknown"}
    (caution,) = inference.without_attribute(load_config("config/pets.yaml"))
    assert "no image of pets has an attribute" in caution


def test_words_of_the_values_are_written_down(pets):
    main(["pets", *WORDS])
    own = load_config("config/pets.yaml").datasets["pets"]
    assert own.inference.words == {"ground": ["on grass", "on a meadow"], "in_snow": ["in snow"]}


def test_words_that_tell_nothing_apart_are_refused(pets):
    assert "two values or more" in refused("pets", "--attribute-words", "in snow")
    assert "one more value" in refused("pets", "--attribute-words", "in snow", "--attribute-words", "in snow")
    assert "--attribute label" in refused("pets", "--attribute", "label", *WORDS)


def test_what_words_tell_becomes_a_run_whose_index_holds_the_table_against_the_images(pets, capsys):
    main(["pets", *WORDS])
    before = indexed(pets).set_index("id")
    assert "fairdream run pets-words" in infer(pets, "pets", "words", by_name)
    config = load_config("config/pets-words.yaml")
    own = config.datasets["pets"]
    assert not inference.without_attribute(config)
    assert config.results == "results/pets-words"
    assert own.attributes == {"ground": "on grass", "in_snow": "in snow"}
    assert own.origin.endswith("; attributes inferred by CLIP zero-shot with words")
    config_file = Path("config/pets-words.yaml")
    Path("config/again.yaml").write_text(config_file.read_text().replace("  pets:", "  again:"))
    after = indexed(pets, "again").set_index("id")
    assert (after["attribute"] == [by_name(row) for row in after.reset_index().itertuples()]).all()
    assert (after["split"] == before["split"][after.index]).all(), "the splits stay those that it was inferred with"
    counts = after[after["split"] == "train"].groupby(["label", "attribute"]).size()
    assert own.train_counts["sea_lion-in_snow"] == counts["sea_lion", "in_snow"]
    assert own.inferred.confidence["sea_lion-in_snow"] == 0.75
    written = Path(own.folder, "fairdream.words.csv")
    rows = pd.read_csv(written)
    rows[1:].to_csv(written, index=False)
    with pytest.raises(UserError, match=r"1 image\(s\) are not in .*fairdream.words.csv"):
        indexed(pets, "again")
    rows.assign(attribute="ground").to_csv(written, index=False)
    with pytest.raises(UserError, match="differ from train_counts"):
        indexed(pets, "again")
    main(["pets", *WORDS, "--force"])  # the table that was written is none of the data's own


def test_the_test_keeps_a_true_attribute_that_has_the_same_values(home):
    table(home)
    main(["pets"])
    infer(home, "pets", "words", lambda row: "snow")
    rows = pd.read_csv(home / "data/pets/fairdream.words.csv")
    test = rows["split"] == "test"
    assert set(rows.loc[~test, "attribute"]) == {"snow"}
    assert set(rows.loc[test, "attribute"]) == {"grass", "snow", "wet_sand"}
    assert set(rows.loc[test, "source"]) == {"given"}
    config = load_config("config/pets-words.yaml")
    (note,) = report_params.tabulate(config)["notes"]
    assert note == "pets: the attributes were inferred by CLIP zero-shot with words, but for the test's"
    assert "notes" not in report_params.tabulate(load_config("config/pets.yaml"))


def test_xrm_has_no_words_so_nothing_is_drawn_by_any(pets):
    main(["pets", "--attribute", "unknown"])
    told = infer(pets, "pets", "xrm", lambda row: f"like_{'cat' if Path(row.id).name[1] == 'g' else row.label}")
    config = load_config("config/pets-xrm.yaml")
    own = config.datasets["pets"]
    assert own.prompts.group == "photo of a {label}"
    assert own.prompts.ffr is None
    # some groups have no image, and the swap could not draw them
    assert config.methods == ["erm", "gdro", "self"]
    assert "XRM has no words" in told
    assert sum(own.train_counts.values()) < sum(GROUPS.values())


def test_where_each_group_has_images_xrm_keeps_the_rows_with_adapters_of_their_own(pets):
    main(["pets", "--attribute", "unknown"])
    config = load_config("config/pets.yaml")
    sizes = {
        f"{label}-like_{other}": 9 for label in config.datasets["pets"].labels for other in ("cat", "dog", "sea_lion")
    }
    rows = pd.DataFrame([(*group.split("-"), "train", 0.9) for group, size in sizes.items() for _ in range(size)])
    rows.columns = ["label", "attribute", "split", "confidence"]
    rows["source"] = "xrm"
    plain = infer_attributes.configured(
        runs.values_of(run_of("pets")), "pets", "xrm", "table.csv", rows, ["like_cat", "like_dog", "like_sea_lion"]
    )
    found = infer_attributes.validate_config(plain)
    assert infer_attributes._without_words(found, "pets") == [
        method for method in config.methods if method not in ("ffr", "vanilla")
    ]
    unsure = {group: 0.1 for group in sizes}
    plain["datasets"]["pets"]["inferred"]["confidence"] = unsure
    found = infer_attributes.validate_config(plain)
    assert infer_attributes._without_words(found, "pets") == ["erm", "gdro", "self"]


def test_words_on_the_command_line_take_the_place_of_all_others(pets, monkeypatch):
    main(["pets", *WORDS])
    called = []
    monkeypatch.setattr(infer_attributes, "snakemake", called.append)
    infer_attributes.show(run_of("pets"), None, None, ["on grass", "mud=in mud,wet"])
    ((target, *arguments),) = called
    assert target == "results/pets/pets/inferred/words.md"
    config = load_config(arguments[-1])
    assert config.datasets["pets"].inference.words == {"on_grass": ["on grass"], "mud": ["in mud", "wet"]}
    assert config.results == "results/pets"


def test_an_edited_configuration_is_kept_beside_the_new_one(pets, capsys):
    main(["pets", *WORDS])
    Path("config/pets-words.yaml").write_text("mine\n")
    infer(pets, "pets", "words", by_name)
    assert Path("config/pets-words.yaml.old").read_text() == "mine\n"
    assert "is now config/pets-words.yaml.old" in capsys.readouterr().out


def asked(name: str, way: str | None = None, dataset: str | None = None, words: tuple[str, ...] = ()) -> None:
    infer_attributes.show(run_of(name), way, dataset, words)


def asked_of_what_was_inferred(home: Path) -> None:
    main(["pets", *WORDS, "--force"])
    infer(home, "pets", "words", by_name)
    asked("pets-words")


def edited(home: Path, edit: Callable[[dict], object]) -> None:
    file = home / "config/pets.yaml"
    plain = yaml.safe_load(file.read_text())
    edit(plain)
    file.write_text(yaml.safe_dump(plain))


def asked_where_images_are_left_out(home: Path) -> None:
    edited(home, lambda plain: plain["datasets"]["pets"].update(missing_attribute="drop"))
    asked("pets")


def inferred_for_a_run_that_is_refused(home: Path) -> None:
    main(["pets", *WORDS, "--force"])
    edited(home, lambda plain: plain["generate"].update(num_inference_steps=501))
    infer(home, "pets", "words", by_name)


# Messages of docs/errors.md, and what leads to each.
REFUSED = {
    "no words are known for the attribute": lambda home: asked("pets", "words"),
    "choose --dataset of": lambda home: asked("pets", dataset="birds"),
    "which goes by none: leave one out": lambda home: asked("pets", "xrm", words=("snow",)),
    "words of two values or more tell them apart": lambda home: asked("pets", words=("snow",)),
    "expected words for one more value": lambda home: asked("pets", words=("in snow", "in snow")),
    "give the column that has the attribute, or the words": lambda home: main(
        ["pets", "--attribute", "place", *WORDS, "--force"]
    ),
    "images without an attribute are left out, and so could not be": asked_where_images_are_left_out,
    "its attribute is inferred already": asked_of_what_was_inferred,
    "were written, but are not ready to run": inferred_for_a_run_that_is_refused,
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_cannot_be_inferred_is_said_before_any_job(pets, message, monkeypatch):
    monkeypatch.setattr(infer_attributes, "snakemake", lambda arguments: pytest.fail("no job may begin"))
    main(["pets", "--attribute", "unknown"])
    with pytest.raises(UserError, match=message):
        REFUSED[message](pets)
