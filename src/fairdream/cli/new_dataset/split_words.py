"""Words for splits in cells, in names of files and of folders: those of Hugging Face `datasets`."""

from __future__ import annotations

import re
from itertools import pairwise

SPLITS = ("train", "validation", "test")
SPLIT_WORDS = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
    "eval": "test",
    "evaluation": "test",
}
HELD_OUT = {"fold", "folds", "kfold", "holdout", "heldout"}  # say a split, though not which


def words_of(name: str) -> list[str]:
    """Return the words of a name in lower case: between marks, before capitals, and numbers by themselves."""
    edges = r"[\W_]+|(?<=[a-z])(?=[A-Z])|(?<=[^\W\d_])(?=\d)|(?<=\d)(?=[^\W\d_])"
    return [word.lower() for word in re.split(edges, name) if word]


def hints(name: str) -> set[str]:
    """Return the splits that any word of a name stands for, ``"other"`` for folds and what is held out."""
    words = words_of(name)
    joined = {first + second for first, second in pairwise(words)}  # hold-out
    splits = {SPLIT_WORDS[word] for word in words if word in SPLIT_WORDS}
    return splits | ({"other"} if HELD_OUT & {*words, *joined} else set())


def likely_split(name: str) -> str | None:
    """Return the one split that words of a name stand for: to be proposed, not taken."""
    said = hints(name)
    return said.pop() if len(said) == 1 and said <= set(SPLITS) else None


def split_of(name: str) -> str | None:
    """Return the split that a file's or folder's name begins with, such as ``train-00000-of-00002``."""
    return SPLIT_WORDS.get(re.split(r"[-_. ]", name.lower())[0])


def split_of_file(stem: str) -> str | None:
    """Return the split that a table's name says in any of its words, such as ``birds_train``; none where two differ."""
    splits = {SPLIT_WORDS[word] for word in re.split(r"[-_. ]+", stem.lower()) if word in SPLIT_WORDS}
    return splits.pop() if len(splits) == 1 else None


def split_of_word(word: str) -> str | None:
    """Return the split that a word stands for and nothing else: ``Test``, ``training set``, ``val2017``."""
    bare = re.sub(r"([-_. ]?(set|split|data|images?|imgs?|\d+))*$", "", word.strip().lower())
    return SPLIT_WORDS.get(bare)
