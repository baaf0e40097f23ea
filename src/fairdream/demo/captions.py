"""Captions of rendered digits and the small vocabulary that base model and CLIP read them with."""

import json
import random
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

from fairdream.demo.rendered import ATTRIBUTES, LABELS, NAMES

CONTEXT = 32
START, END = "<|startoftext|>", "<|endoftext|>"
# One token each. `sks` is DreamBooth's rare word: the model learns to pass over it.
WORDS = (
    *("a", "an", "the", "of", "on", "in", "with", "and", "over", "photo", "picture", "image", "digit", "number", "sks"),
    *("even", "odd", "land", "water", "background", "style", "handwritten", *NAMES),
)
UNKNOWN_SHARE = 0.15
DROPPED_SHARE = 0.12


def article(word: str) -> str:
    """Give ``a`` or ``an``, whichever goes before the word."""
    return "an" if word[0] in "aeio" else "a"


def caption(digit: int, water: bool, rng: random.Random) -> str:
    """
    Describe an image in one of the forms that prompts have: whole, in part, with a word that means nothing.

    Parameters
    ----------
    digit : int
        0..9.
    water : bool
        Whether the background is water.
    rng : random.Random
        Source of randomness.

    Returns
    -------
    str
        Such as ``photo of an even digit on water`` or ``land``.
    """
    attribute = ATTRIBUTES[int(water)]
    form = rng.random()
    if form < 0.12:
        words = [attribute] if form < 0.04 else ["on", attribute] if form < 0.09 else ["photo", "of", attribute]
    else:
        subject = [LABELS[digit % 2], "digit"] if rng.random() < 0.65 else [NAMES[digit]]
        unknown = rng.random() < UNKNOWN_SHARE
        if unknown:
            rare = "".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(2, 5)))
            subject = ["sks" if rng.random() < 0.5 else rare, *subject]
        words = [rng.choice(("a", article(subject[0]), article(subject[0]))), *subject]
        if rng.random() < 0.8:
            words = ["photo", "of", *words]
        if rng.random() < 0.8:
            words += ["on", attribute]
    return " ".join(words)


def dropped(text: str, rng: random.Random) -> str:
    """Replace a caption by the empty one now and then, for classifier-free guidance (Ho & Salimans 2022)."""
    return "" if rng.random() < DROPPED_SHARE else text


def merges(words: tuple[str, ...]) -> list[tuple[str, str]]:
    """
    Learn byte pair merges until each word is one token (Sennrich et al. 2016).

    Parameters
    ----------
    words : tuple of str
        Lower-case words.

    Returns
    -------
    list of tuple
        Pairs in the order in which they are merged.
    """
    parts = [[*word[:-1], word[-1] + "</w>"] for word in words]
    learned = []
    while any(len(part) > 1 for part in parts):
        pairs = Counter(pair for part in parts for pair in pairwise(part))
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        learned.append(best)
        for part in parts:
            place = 0
            while place < len(part) - 1:
                if (part[place], part[place + 1]) == best:
                    part[place : place + 2] = ["".join(best)]
                place += 1
    return learned


def write_tokenizer(folder: Path) -> None:
    """
    Write ``vocab.json`` and ``merges.txt`` of a CLIP tokenizer that knows the words above and else spells bytes.

    Parameters
    ----------
    folder : Path
        Where to write; made when missing.
    """
    from open_clip.tokenizer import bytes_to_unicode

    learned = merges(WORDS)
    letters = list(bytes_to_unicode().values())
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), *dict.fromkeys("".join(pair) for pair in learned)]
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = {token: index for index, token in enumerate([*tokens, START, END])}
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
    lines = ["#version: 0.2", *(" ".join(pair) for pair in learned)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def load_tokenizer(folder: Path) -> Any:
    """
    Load the tokenizer that ``write_tokenizer`` has written.

    Parameters
    ----------
    folder : Path
        The folder with ``vocab.json`` and ``merges.txt``.

    Returns
    -------
    transformers.CLIPTokenizer
        Pads to ``CONTEXT`` tokens.
    """
    from transformers import CLIPTokenizer

    vocabulary = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    pairs = [tuple(line.split()) for line in (folder / "merges.txt").read_text(encoding="utf-8").splitlines()[1:]]
    return CLIPTokenizer(vocab=vocabulary, merges=pairs, pad_token=END, unk_token=END, model_max_length=CONTEXT)
