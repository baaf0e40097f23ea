"""Prompts that a text encoder would cut, or that draw two groups alike, are refused before any job."""

import copy
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from smallest import keep_one

from fairdream.config.root import Config, validate_config
from fairdream.errors import UserError
from fairdream.planning import preflight, prompts, tokens

ROOT = Path(__file__).resolve().parents[3]
PAPER = yaml.safe_load((ROOT / "config.yaml").read_text())
TEMPLATES = {
    "group": "photo of a {label} on {attribute}",
    "subject": "photo of a {token} {label}",
    "swapped": "photo of a {label} on {attribute}",
    "negative": "{attribute}",
    "clip_label": "Photo of a {label}",
}


def config(methods: tuple[str, ...] = (), **values: Any) -> Config:
    """The paper's configuration of Waterbirds, with other prompts and words of it."""
    raw = copy.deepcopy(PAPER)
    keep_one(raw, "waterbirds")
    birds = raw["datasets"]["waterbirds"]
    raw["methods"] = list(methods) or raw["methods"]
    raw["finetune"]["token"] = values.pop("token", "sks")
    raw["ablations"]["method"] = values.pop("ablated", raw["ablations"]["method"])
    for key, value in values.items():
        (birds if key in ("labels", "attributes") else birds["prompts"])[key] = value
    return validate_config(raw)


def of_length(number: int, end: str = "{label} on {attribute}") -> str:
    """A template of so many tokens, start and end included, when the words that fill it in are a token each."""
    words = ["a"] * (number - 2 - len(end.split()))
    return " ".join([*words, end])


ONE_TOKEN = {"labels": {"landbird": "cat", "waterbird": "dog"}, "attributes": {"land": "land", "water": "water"}}


@pytest.mark.parametrize("key", TEMPLATES)
def test_77_tokens_are_read_and_78_refused_with_what_is_cut_off(key):
    end = {"negative": "{attribute}", "clip_label": "{label}", "subject": "{token} {label}"}.get(key)
    ends = [end] if end else []
    token = "car"  # one of CLIP's
    preflight.check(config(token=token, **ONE_TOKEN, **{key: of_length(77, *ends)}))
    with pytest.raises(UserError) as error:
        preflight.check(config(token=token, **ONE_TOKEN, **{key: of_length(78, *ends)}))
    message = str(error.value)
    assert f"datasets.waterbirds.prompts.{key}: 'a a" in message
    assert "has 78 tokens" in message
    assert "reads 77" in message
    assert any(f"cut off '{word}'" in message for word in ("cat", "dog", "land", "water"))


def test_the_prompts_of_ffr_are_measured_too():
    ffr = copy.deepcopy(PAPER["datasets"]["waterbirds"]["prompts"]["ffr"])
    for number, words in ((77, None), (78, "pond")):
        ffr["template"] = of_length(number, "{label} {attribute}")
        ffr["labels"] = {"landbird": ["cat"], "waterbird": ["dog"]}
        ffr["attributes"] = {"land": ["field"], "water": ["pond"]}
        if words is None:
            preflight.check(config(ffr=ffr))
        else:
            with pytest.raises(UserError, match=r"prompts\.ffr: .* has 78 tokens"):
                preflight.check(config(ffr=ffr))


def test_many_source_attributes_make_a_mirrored_row_s_negative_prompt_too_long():
    raw = copy.deepcopy(PAPER)
    keep_one(raw, "waterbirds")
    birds, raw["methods"] = raw["datasets"]["waterbirds"], ["lora_mirrored"]
    birds["prompts"]["ffr"] = None
    # three words and a comma of each but one
    birds["attributes"] = {f"a{number}": f"place of {chr(97 + number)}" for number in range(26)}
    birds["attribute_values"] = {name: number for number, name in enumerate(birds["attributes"])}
    birds["train_counts"] = {f"{label}-{name}": 200 for label in birds["labels"] for name in birds["attributes"]}
    birds["train_counts"]["landbird-a0"] = birds["train_counts"]["waterbird-a1"] = 900
    with pytest.raises(UserError, match=r"prompts\.negative: .* has 101 tokens"):
        preflight.check(validate_config(raw))


def test_a_long_token_counts_as_what_it_is():
    with pytest.raises(UserError, match=r"prompts\.subject: 'photo of a zqx"):
        preflight.check(config(token="zqx" * 40))


def test_the_attribute_at_the_end_of_290_tokens_is_named():
    with pytest.raises(UserError) as error:
        preflight.check(config(("vanilla",), **ONE_TOKEN, group=of_length(290)))
    assert "has 290 tokens" in str(error.value)
    assert re.search(r"cut off 'a a .* … .* a cat on land'", str(error.value))


def test_characters_beyond_ascii_count_as_their_bytes():
    fits, long = "\N{DRAGON}" * 18, "\N{DRAGON}" * 80
    preflight.check(config(group=f"{fits} {{label}} {{attribute}}"))
    with pytest.raises(UserError, match="would cut off"):
        preflight.check(config(group=f"{long} {{label}} {{attribute}}"))


def test_a_short_text_needs_no_tokenizer(monkeypatch):
    for name in ("transformers", "open_clip", "torch"):
        monkeypatch.setitem(sys.modules, name, None)
    tokens.check_lengths(validate_config(PAPER))


@pytest.mark.parametrize(
    "text", ["cat", "it's 12 o'clock: don't!!", "naïve café", "x_y-z", "ﬁ ½ \N{DRAGON} &amp; &hearts;", "A  B\n"]
)
def test_the_bound_holds_and_words_are_the_tokenizer_s(text):
    from open_clip.tokenizer import SimpleTokenizer

    own = SimpleTokenizer()
    assert len(own.encode(text)) + 2 <= prompts.most_tokens(text)
    assert own.encode(" ".join(prompts.clip_words(text))) == own.encode(text)


# Two ways to write a word, and whether Stable Diffusion's tokenizer takes them for one; open_clip's does with each.
FORMS = [
    ("café", "cafe\u0301", True),
    ("ﬁsh", "fish", False),
    ("cat’s", "cat's", False),
    ("cats &amp; dogs", "cats & dogs", False),
    ("ｃａｔ", "cat", False),
    ("CAT", "cat", True),
    ("a  cat", "a cat", True),
]


@pytest.mark.parametrize(("one", "other", "same"), FORMS)
def test_two_forms_of_a_word_are_the_same_where_their_tokens_are(one, other, same, stock):
    from open_clip.tokenizer import SimpleTokenizer

    _, load = tokens._diffusion(stock.parent)
    read = load().encode
    assert (prompts.words(one) == prompts.words(other)) is (read(one) == read(other)) is same
    own = SimpleTokenizer()
    assert prompts.clip_words(one) == prompts.clip_words(other)
    assert own.encode(one) == own.encode(other)
    labels = {"landbird": one, "waterbird": other}
    with pytest.raises(UserError, match="classes landbird and waterbird alike"):
        preflight.check(config(("dreambooth",), labels=labels, subject="photo of a {token} bird"))
    # where CLIP-Label is not read, groups may differ for the base model alone
    attributes = {"land": one, "water": other}
    if same:
        with pytest.raises(UserError, match="landbird-land and landbird-water"):
            preflight.check(config(("vanilla",), attributes=attributes))
    else:
        preflight.check(config(("vanilla",), attributes=attributes))


@pytest.fixture(scope="module")
def stock(tmp_path_factory) -> Path:
    """A folder with the tokenizer of Stable Diffusion, as diffusers' layout has it."""
    import gzip

    from open_clip.tokenizer import default_bpe

    with gzip.open(default_bpe(), "rt", encoding="utf-8") as file:
        lines = file.read().split("\n")[1 : 49152 - 256 - 2 + 1]
    from open_clip.tokenizer import SimpleTokenizer

    vocabulary = {
        {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}.get(word, word): number
        for word, number in SimpleTokenizer().encoder.items()
    }
    folder = tmp_path_factory.mktemp("sd") / "tokenizer"
    folder.mkdir()
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(lines))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"model_max_length": 77, "tokenizer_class": "CLIPTokenizer"})
    )
    return folder


def test_the_tokenizer_of_a_model_that_is_here_is_its_own(stock):
    """What is cut off is what diffusers' pipeline would name in its log."""
    transformers = pytest.importorskip("transformers")
    limit, load = tokens._diffusion(stock.parent)
    assert limit == 77
    own = load()
    for number in (77, 78, 120):
        text = of_length(number, "cat on land")
        tokenizer = transformers.CLIPTokenizer.from_pretrained(stock)
        ids = tokenizer(text, padding="longest").input_ids
        assert len(ids) == number
        assert tokens.cut_off(text, own) == tokenizer.decode(ids[76:-1]).strip()
    assert tokens.cut_off(of_length(78, "cat on land"), own) == tokens.cut_off(
        of_length(78, "cat on land"), tokens._clip_s_own()
    )


def test_what_another_clip_reads_is_its_own():
    limit, load = tokens._clip("ViT-B-16-SigLIP")
    assert limit == 64
    assert load() is None, "its vocabulary is not on this machine"
    assert tokens._clip("ViT-L-14")[0] == 77


def test_an_encoder_that_reads_less_is_measured_by_what_it_reads(tmp_path):
    text = {"context_length": 64, "vocab_size": 49408, "width": 64, "heads": 4, "layers": 2}
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": {"text_cfg": text}}))
    limit, load = tokens._clip(f"local-dir:{tmp_path}")
    assert limit == load().limit == 64
    folder = tmp_path / "sd/text_encoder"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"max_position_embeddings": 64, "vocab_size": 49408}))
    (tmp_path / "sd/tokenizer").mkdir()
    assert tokens._diffusion(tmp_path / "sd")[0] == 64


def test_the_embedded_toys_are_measured_as_the_models_that_they_stand_in_for():
    raw = yaml.safe_load((ROOT / "config/demo.yaml").read_text())
    prompt = raw["datasets"]["waterdigits"]["prompts"]
    prompt["group"] = "photo of a very very very very beautiful and unusual {label} as it lies {attribute} somewhere"
    preflight.check(validate_config(raw))
    prompt["group"] = of_length(290, "{label} {attribute}")
    with pytest.raises(UserError, match=r"has 29\d tokens"):
        preflight.check(validate_config(raw))


# ---- Groups that come out the same


SAME = [
    ({"group": "photo of a {label}"}, ("vanilla",), "group", "landbird-land and landbird-water"),
    ({"group": "photo on {attribute}"}, ("vanilla",), "group", "landbird-land and waterbird-land"),
    ({"attributes": {"land": "Lake", "water": "lake "}}, ("vanilla",), "group", "landbird-land and landbird-water"),
]


@pytest.mark.parametrize(("values", "methods", "key", "groups"), SAME)
def test_groups_that_are_drawn_alike_are_refused(values, methods, key, groups):
    with pytest.raises(UserError) as error:
        preflight.check(config(methods, **values))
    message = str(error.value)
    assert message.startswith(f"datasets.waterbirds.prompts.{key}: ")
    assert groups in message
    assert "would show the same" in message


def test_ffr_s_words_of_two_groups_may_not_meet():
    ffr = copy.deepcopy(PAPER["datasets"]["waterbirds"]["prompts"]["ffr"])
    ffr["attributes"]["water"].append("On a Meadow")
    with pytest.raises(UserError, match=r"prompts\.ffr: .*landbird-land and landbird-water of ffr"):
        preflight.check(config(("ffr",), ffr=ffr))


def test_adapters_of_their_own_tell_groups_apart():
    """DreamBooth learns a group under the words of its class alone; one generated by the swap has words of its own."""
    preflight.check(config(("lora",), group="photo of a {label}"))
    preflight.check(config(("dreambooth", "clustered_dreambooth"), subject="photo of a {token} {label}"))
    # a swapped group has no token, and the source's attribute as negative prompt
    preflight.check(config(("lora",), group="photo of a {label}", swapped="photo of a {label}"))
    with pytest.raises(UserError, match=r"landbird-land and landbird-water of lora"):
        preflight.check(config(("lora",), group="photo of a {label}", swapped="photo of a {label}", negative=" "))


def test_a_token_is_learnt_under_a_prompt_that_has_it():
    for subject in ("photo of a {label}", "photo of a {{token}} {label}"):
        with pytest.raises(UserError, match=r"prompts\.subject: dreambooth learns .* put \{token\} into it"):
            preflight.check(config(("dreambooth",), subject=subject))
        preflight.check(config(("lora",), ablated="lora", subject=subject))


def test_a_token_is_no_word_of_a_class_or_an_attribute():
    for token in ("Waterbird", "land"):
        with pytest.raises(UserError, match=rf"finetune\.token: '{token}' is what datasets\.waterbirds calls a class"):
            preflight.check(config(("dreambooth",), token=token))
        preflight.check(config(("lora",), ablated="lora", token=token))


def test_clip_label_must_tell_classes_apart_and_need_not_tell_attributes():
    for template in ("Photo of a bird", "Photo on {attribute}"):
        with pytest.raises(UserError, match=r"prompts\.clip_label: .* classes landbird and waterbird alike"):
            preflight.check(config(clip_label=template))
    preflight.check(config(clip_label="Photo of a {label}"))
