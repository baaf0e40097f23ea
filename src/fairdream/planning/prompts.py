"""The texts of a run: which prompts are drawn from, learnt and scored, and whether groups are told apart by them.

What a text encoder makes of them is `fairdream.planning.tokens`' to say; nothing here needs one.
"""

from __future__ import annotations

import html
import re
import string
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from importlib.util import find_spec

from fairdream.config.root import Config
from fairdream.data.groups import label_of
from fairdream.errors import UserError
from fairdream.methods import method_of
from fairdream.planning import plan, stage_params

# CLIP's tokenizer cuts a text into these before it makes tokens of them, and no token spans two (Radford et al. 2021).
WORDS = re.compile(r"'s|'t|'re|'ve|'m|'ll|'d|[^\W\d_]+|\d|(?:[^\w\s]|_)+")
START_AND_END = 2


def words(text: str) -> tuple[str, ...]:
    """Return the words that a Stable Diffusion's tokenizer reads: two texts with other words have other tokens."""
    return tuple(WORDS.findall(unicodedata.normalize("NFC", text).lower()))


def clip_words(text: str) -> tuple[str, ...]:
    """Return the words that open_clip's tokenizer reads: it cleans a text first, so more texts have the same.

    Ligatures, curled quotes and full-width letters are plain ones to it, and a character reference (``&amp;``) is its
    character.
    """
    # nothing in such a text is cleaned; without ftfy open_clip, which needs it, is not here either
    if not (text.isascii() and text.isprintable() and "&" not in text) and find_spec("ftfy"):
        import ftfy

        text = html.unescape(html.unescape(ftfy.fix_text(text)))
    return words(text)


def most_tokens(text: str) -> int:
    """Return a number of tokens, start and end included, that CLIP's tokenizer does not exceed: a byte makes one."""
    # a character reference such as &hearts; is read as its character; others become longer when they are normalised
    longest = 1 if text.isascii() and "&" not in text else 4
    return longest * sum(len(word.encode()) for word in words(text)) + START_AND_END


def diffusion_texts(config: Config) -> dict[str, str]:
    """Return each prompt and negative prompt that a run learns or draws from -> the key that it stands under."""
    texts: dict[str, str] = {}
    for dataset, bias, method in _drawn(config):
        for group in plan.groups(config, dataset):
            drawn = stage_params.generate(config, dataset, plan.image_bias(method, bias), method, group)
            for text in drawn["prompts"]:
                texts.setdefault(text, _key(config, dataset, group, text))
            texts.setdefault(drawn["negative_prompt"], f"datasets.{dataset}.prompts.negative")
        if method_of(method).subjects:
            for group in plan.trained_groups(config, dataset, bias):
                learnt = stage_params.finetune(config, dataset, bias, method, group)["prompt"]
                texts.setdefault(learnt, _key(config, dataset, group, learnt))
    return texts


def clip_texts(config: Config) -> dict[str, str]:
    """Return each text that CLIP reads, for scores and audits -> the key that it stands under."""
    texts: dict[str, str] = {}
    for dataset, own in config.datasets.items():
        for group in plan.groups(config, dataset):
            for key in ("clip_label", "group"):
                filled = stage_params.fill(config, dataset, getattr(own.prompts, key), group, None)
                texts.setdefault(filled, f"datasets.{dataset}.prompts.{key}")
    return texts


def check_distinct(config: Config) -> None:
    """Refuse prompts that draw two groups alike, and a CLIP-Label that says the same of two classes.

    DreamBooth's prompts of a class's groups are the same by design: each group has an adapter of its own. Where two
    groups are drawn from the same weights, prompt, negative prompt or guidance must tell them apart.

    Raises
    ------
    UserError
        Names the key, the text and the groups.
    """
    for dataset, bias, method in _drawn(config):
        _check_drawn(config, dataset, bias, method)
    for dataset, own in config.datasets.items():
        read: dict[tuple[str, ...], str] = {}
        for group in plan.groups(config, dataset):
            text = stage_params.score(config, dataset, group)["prompt"]
            other = read.setdefault(clip_words(text), label_of(group))
            if other != label_of(group):
                raise UserError(
                    f"datasets.{dataset}.prompts.clip_label: {text!r} is the text of the classes {other} and "
                    f"{label_of(group)} alike, so CLIP-Label cannot score one against the other; put {{label}} into "
                    f"{own.prompts.clip_label!r}, or give the classes other words under labels"
                )


def check_token(config: Config) -> None:
    """Refuse a token that is learnt under no prompt, or that stands for a class already.

    Raises
    ------
    UserError
        Names the key, the value and the method that learns it.
    """
    token = config.finetune.token
    for dataset, _, method in _drawn(config):
        own = config.datasets[dataset]
        if not method_of(method).token:
            continue
        if "token" not in {field for _, field, _, _ in string.Formatter().parse(own.prompts.subject)}:
            raise UserError(
                f"datasets.{dataset}.prompts.subject: {method} learns finetune.token by {own.prompts.subject!r}, which "
                "has none; put {token} into it, before {label} for instance"
            )
        for words_of in (*own.labels.values(), *own.attributes.values()):
            if words(words_of) == words(token):
                raise UserError(
                    f"finetune.token: {token!r} is what datasets.{dataset} calls a class or an attribute, and {method} "
                    "would learn the images of every group under it; take a rare word such as sks"
                )


def _check_drawn(config: Config, dataset: str, bias: str, method: str) -> None:
    """Refuse two groups of a method's images that are drawn from the same weights in the same words."""
    by_words = defaultdict(set)
    for group in plan.groups(config, dataset):
        drawn = stage_params.generate(config, dataset, plan.image_bias(method, bias), method, group)
        adapters = plan.source_group(config, dataset, bias, group) if method_of(method).subjects else None
        for text in drawn["prompts"]:
            read = (adapters, words(text), words(drawn["negative_prompt"]), drawn["guidance_scale"])
            by_words[read].add(group)
            if len(by_words[read]) > 1:
                raise UserError(
                    f"{_key(config, dataset, group, text)}: {text!r} is the prompt of the groups "
                    f"{' and '.join(sorted(by_words[read]))} of {method} alike, so their images would show the same; "
                    "put {label} and {attribute} into it, or give them other words under labels and attributes"
                )


def _drawn(config: Config) -> Iterator[tuple[str, str, str]]:
    """Yield data set, bias and method of all images that a run, or its ablations, may draw."""
    ablated = [(str(bias), config.ablations.method) for bias in config.ablations.biases]
    for dataset in config.datasets:
        wanted = [(bias, row) for bias in plan.biases(config) for row in plan.methods_at(config, dataset, bias)]
        for bias, method in dict.fromkeys(wanted + ablated):
            if method_of(method).synthetic and not method_of(method).stage1_of:
                yield dataset, bias, method


def _key(config: Config, dataset: str, group: str, text: str) -> str:
    """Return the key of the template that a prompt was filled into."""
    prompts = config.datasets[dataset].prompts
    for key in ("group", "subject", "swapped"):
        if stage_params.fill(config, dataset, getattr(prompts, key), group, config.finetune.token) == text:
            return f"datasets.{dataset}.prompts.{key}"
    return f"datasets.{dataset}.prompts.ffr"
