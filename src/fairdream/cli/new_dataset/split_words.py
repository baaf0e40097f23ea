"""Words for splits in cells, in names of files and of folders.

Those of Hugging Face `datasets` are understood; further ones, and those of other languages, are asked about.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
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
    "tests": "test",
    "testing": "test",
    "eval": "test",
    "evaluation": "test",
}
HELD_OUT = {"fold", "folds", "kfold", "holdout", "heldout"}  # say a split, though not which
NUMBERED = {"cv", "split", "partition"}  # the same, with a number behind
# Words in the names of columns that state one, and of the keys in names of folders, as in split=train.
NAMES = {"split", "splits", "partition", "subset", "fold", "folds", "kfold", "set", "phase", "usage"}
# Asked about wherever they stand: abbreviations, German, Spanish, French, Italian, Portuguese, Russian, Chinese,
# Japanese and Korean.
FURTHER = {
    "train": "trn trainingsdaten entrenamiento apprentissage entraînement addestramento treino treinamento "
    "обучение обучающая тренировка 训练 训练集 訓練 訓練集 学習 훈련 학습",
    "validation": "validierung validierungsdaten validación convalida validazione validação валидация проверка "
    "验证 验证集 驗證 驗證集 検証 검증",
    "test": "tst prüfung testdaten prueba essai teste тест тестовая 测试 测试集 測試 測試集 テスト 테스트 시험",
}
# Asked about only where all beside them say a split: they have other meanings too. Ts is nnU-Net's.
SHORT = {"tr": "train", "va": "validation", "te": "test", "ts": "test", "trains": "train", "vals": "validation"}
AMBIGUOUS = SHORT | dict.fromkeys(("development", "external", "calibration"), "other")


def plain(text: str) -> str:
    """Return a text without accents, in whatever Unicode form it was."""
    return "".join(letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))


HINTING = SPLIT_WORDS | {plain(word): split for split, words in FURTHER.items() for word in words.split()}


def words_of(name: str) -> list[str]:
    """Return the words of a name, in lower case and `plain`: between marks, before capitals, numbers by themselves."""
    edges = r"[\W_]+|(?<=[a-z])(?=[A-Z])|(?<=[^\W\d_])(?=\d)|(?<=\d)(?=[^\W\d_])"
    return [word.lower() for word in re.split(edges, plain(name)) if word]


def hints(name: str, also_ambiguous: bool = False) -> set[str]:
    """Return the splits that any word of a name stands for, ``"other"`` for folds and what is held out."""
    known = HINTING | AMBIGUOUS if also_ambiguous else HINTING
    words = words_of(name)
    joined = {first + second for first, second in pairwise(words)}  # hold-out
    splits = {known[word] for word in words if word in known}
    other = HELD_OUT & {*words, *joined} or any(a in NUMBERED and b.isdigit() for a, b in pairwise(words))
    return splits | ({"other"} if other else set())


def hint_together(names: Iterable[str]) -> bool:
    """Tell whether names that may have other meanings say two splits together, as ``tr`` and ``te`` do."""
    said = [hints(name, also_ambiguous=True) for name in set(names)]
    return all(said) and len(set().union(*said)) > 1


def likely_split(name: str) -> str | None:
    """Return the one split that words of a name stand for: to be proposed, not taken."""
    said = hints(name, also_ambiguous=True)
    return said.pop() if len(said) == 1 and said <= set(SPLITS) else None


def split_of(name: str) -> str | None:
    """Return the split that a file's or folder's name begins with, and no other: ``train-00000-of-00002``.

    Also that of ``split=train``, as Spark and Arrow name folders, and of ``partial-train``, as Hugging Face does.
    """
    if "=" in name:
        key, _, value = name.partition("=")
        return split_of_word(value) if NAMES & set(words_of(key)) else None
    if len(hints(name)) > 1:  # train_val2018
        return None
    return SPLIT_WORDS.get(re.split(r"[-_. ]", name.lower().removeprefix("partial-"))[0])


def split_of_file(stem: str) -> str | None:
    """Return the split that a table's name says in any of its words, such as ``birds_train``; none where two differ."""
    splits = {SPLIT_WORDS[word] for word in re.split(r"[-_. ]+", stem.lower()) if word in SPLIT_WORDS}
    return splits.pop() if len(splits) == 1 else None


def says_split(name: str) -> bool:
    """Tell whether a folder's name has a word for a split, or is one such as ``fold=3``."""
    key, mark, _ = name.partition("=")
    return bool(hints(name) or (mark and NAMES & set(words_of(key))))


def told_apart(names: Sequence[str], splits: Sequence[str | None]) -> list[str]:
    """Return the split that each name says, or the name itself where it says none, or another says the same split.

    Of ``train`` and ``train_aug``, or ``Train``, one may hold copies of the other's images. Numbers of shards make no
    other name.
    """
    shard = r"-\d+-of-\d+.*|([-_. ]*(part|shard|chunk|\d+))+$"
    alike: dict[str | None, set[str]] = {}
    for name, split in zip(names, splits, strict=True):
        alike.setdefault(split, set()).add(re.sub(shard, "", name))
    return [
        split if split and (split not in SPLITS or len(alike[split]) == 1) else name
        for name, split in zip(names, splits, strict=True)
    ]


def split_of_word(word: str) -> str | None:
    """Return the split that a word stands for and nothing else: ``Test``, ``training set``, ``val2017``."""
    bare = re.sub(r"([-_. ]?(set|split|data|images?|imgs?|\d+))*$", "", word.strip().lower())
    return SPLIT_WORDS.get(bare)
