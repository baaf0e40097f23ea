"""Whatever configuration is given, it is refused by its keys, or it is the same after it was written and read again."""

import copy
from pathlib import Path
from typing import Any

import yaml
from fuzzing import DAMAGE, damaged, fuzz, some
from hypothesis import strategies as st
from refusals import ROOT
from smallest import SMALLEST

from fairdream.config.root import Config, load_config, read_values, validate_config
from fairdream.errors import UserError
from fairdream.planning import noise_schedules, plan, prompts, validation_images


def paths(values: Any, above: tuple = ()) -> list[tuple]:
    """Return the places of a configuration: each key, and each position of a list."""
    items = values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else ()
    return [path for key, value in items for path in ((*above, key), *paths(value, (*above, key)))]


PATHS = paths(SMALLEST)
SCALARS = [
    *(None, True, False, 0, 1, -1, 2, 7, 10**6, 2**70, 0.0, 1.0, 0.5, 0.999, -0.5, 1.5, 1e-300, 1e300, float("nan")),
    *(float("inf"), "", " ", "0", "1e-4", "yes", "original", "0.9", "erm", "none", "a-b", "a.b", ".", "..", "~/a", "/"),
    *(
        "a{b}",
        "{",
        "}",
        "{label}",
        "{label!r}",
        "{0}",
        "{label:{attribute}}",
        "{token}",
        "photo of a {label}",
        "é",
        "😀",
    ),
    *("a\nb", "\0", "n" * 101, "even", "odd", "water", "DDIMScheduler", "LCMScheduler", "small_cnn", "./a"),
]
VALUE = st.one_of(
    st.sampled_from(SCALARS),
    st.sampled_from(SCALARS),
    st.lists(st.sampled_from(SCALARS), max_size=3),
    st.dictionaries(st.sampled_from(SCALARS[:-20]), st.sampled_from(SCALARS), max_size=2),
    st.integers(-3, 5),
    st.floats(0, 1),
    st.sampled_from([path for path in PATHS if len(path) < 3]).map(lambda path: at(SMALLEST, path)),
)
PLACE = st.sampled_from(PATHS)
EDITS = some(
    st.tuples(st.just("set"), PLACE, VALUE),
    st.tuples(st.just("set"), PLACE, VALUE),
    st.tuples(st.just("scale"), PLACE, st.sampled_from([0, 0.5, 2, -1, 1000])),
    st.tuples(st.just("drop"), PLACE),
    st.tuples(st.just("rename"), PLACE, st.sampled_from(SCALARS)),
    st.tuples(st.just("add"), PLACE, st.sampled_from(SCALARS), VALUE),
    st.tuples(st.just("move"), PLACE, PLACE),
    most=2,
)


def at(values: Any, path: tuple) -> Any:
    for key in path:
        values = values[key]
    return values


def edited(edits: list[tuple]) -> dict:
    """Return the smallest configuration after some edits; one whose place is gone does nothing."""
    raw = copy.deepcopy(SMALLEST)
    for kind, path, *how in edits:
        try:
            home, key, value = at(raw, path[:-1]), path[-1], at(raw, path)
            if kind == "set":
                home[key] = copy.deepcopy(how[0])
            elif kind == "scale" and type(value) in (int, float):
                home[key] = value * how[0]
            elif kind == "drop":
                del home[key]
            elif kind == "rename" and isinstance(home, dict):
                home[how[0]] = home.pop(key)
            elif kind == "add":
                (value if isinstance(value, dict) else home)[how[0]] = copy.deepcopy(how[1])
            elif kind == "move":
                home[key] = copy.deepcopy(at(raw, how[0]))
        except (KeyError, IndexError, TypeError):
            continue
    return raw


def same(config: Config) -> Config:
    """Return a configuration after it was written as YAML and read again."""
    text = yaml.dump(config.model_dump(by_alias=True), Dumper=yaml.CSafeDumper)
    return validate_config(yaml.load(text, yaml.CSafeLoader))


def test_a_configuration_is_the_same_when_written_and_read_or_is_refused_by_its_keys(tell):
    def read(edits: list[tuple]) -> None:
        config = validate_config(edited(edits))
        assert same(config) == config
        assert {name: own.reading() for name, own in config.datasets.items()}
        plan.check_plan(config)
        validation_images.check(config)
        noise_schedules.check_steps(config)
        prompts.check_distinct(config)
        for dataset in config.datasets:
            for bias in plan.biases(config):
                counts = plan.training_counts(config, dataset, bias)
                assert set(counts) == set(plan.groups(config, dataset))
                assert all(counts[group] >= 0 for group in counts)

    ended = fuzz("configurations", EDITS, read, 1500, tell)
    assert min(ended.values()) > 200


LINES = [
    *("a: 1", "results: out", "seed: 0", "seeds: [0, 1]", "a:", "- a", "  b: 2", "\tc: 3", "# note", "---", "..."),
    *("date: 2024-13-01", "day: 2024-01-01 25:00:00", "bits: 0b_", "hex: 0x_", "many: " + "9" * 5000, "b: 190:20:30"),
    *("a: &a [*a]", "b: *b", "<<: {a: 1}", "<<: 3", "? [a]", "? {a: b}\n: c", "~: 1", "2024-01-01: 1", "1: 2", "=: 1"),
    *("a: !!int x", "a: !!set [a]", "a: !!map [b]", "a: !!timestamp x", "a: !!bool x", "a: !!binary x", "a: !b c"),
    *("a: !!python/object/apply:os.system [id]", "a: 'b", 'a: "\\ud800"', 'a: "\\q"', "a: {b: [c", "a: b: c", "a: |"),
    *("[" * 30, "{" * 30, "- " * 400, "a: .nan", "a: -.inf", "seed: 1e3", "yes: no", "a: ~/b", "a: @b", "a: `b"),
    *("\ufeffa: 1", "%YAML 9.9", "a: ="),
]
TEXTS = st.tuples(
    st.lists(st.sampled_from(LINES), max_size=5),
    st.sampled_from(["\n", "\n", "\r\n", "\r", " "]),
    st.sampled_from(["utf-8", "utf-8", "utf-8-sig", "utf-16", "latin1"]),
    st.one_of(st.just([]), DAMAGE),
)


def test_a_text_is_read_as_yaml_or_refused_with_its_place(tmp_path, tell):
    path = tmp_path / "config.yaml"

    def read(case: tuple) -> None:
        lines, end, encoding, damage = case
        path.write_bytes(damaged(end.join(lines).encode(encoding, "replace"), damage))
        values = read_values(path)
        try:
            validate_config(values, path)
        except UserError as error:
            text = str(error)
        assert str(path) in text

    ended = fuzz("texts of configurations", TEXTS, read, 800, tell)
    assert min(ended.values()) > 100


def test_the_paper_s_configuration_is_the_same_when_written_and_read():
    config = load_config(Path(ROOT, "config.yaml"))
    assert same(config) == config
