"""How biased a training set is: group counts at a bias ratio, and which groups are aligned.

Everything here is arithmetic on counts, so a dry run knows every job before any image is read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

ORIGINAL = "original"


def group_name(label: str, attribute: str) -> str:
    """Return the name of the group (label, attribute)."""
    return f"{label}-{attribute}"


def label_of(group: str) -> str:
    """Return the label of a group's name."""
    return group.split("-")[0]


def attribute_of(group: str) -> str:
    """Return the attribute of a group's name."""
    return group.split("-")[1]


def aligned_groups(counts: Mapping[str, int]) -> dict[str, str]:
    """Return each label's aligned group: the attribute that the label occurs with most beyond chance.

    That is the largest difference between a group's size and the size it would have if label and attribute were
    independent. The largest group of each label would not do: in CelebA both dark and blond hair are mostly female, and
    a set with the male groups shrunk would have a rare attribute instead of a biased one. Of equals, the larger group,
    then the first by name.

    Parameters
    ----------
    counts
        Training images of each group at the original bias.
    """
    total = sum(counts.values())
    of_label: Counter[str] = Counter()
    of_attribute: Counter[str] = Counter()
    for group, count in counts.items():
        of_label[label_of(group)] += count
        of_attribute[attribute_of(group)] += count

    def excess(group: str) -> tuple[int, int]:
        # times the total, to stay in integers
        expected = of_label[label_of(group)] * of_attribute[attribute_of(group)]
        return counts[group] * total - expected, counts[group]

    aligned: dict[str, str] = {}
    for group in sorted(counts):
        label = label_of(group)
        if label not in aligned or excess(group) > excess(aligned[label]):
            aligned[label] = group
    return aligned


def counts_at(counts: Mapping[str, int], bias: str, rule: str = "class") -> dict[str, int]:
    """Return the training images of each group at a bias.

    At ratio r aligned groups stay and conflicting ones shrink until they are at most 1 - r, rounded up, so never to
    nothing if there were any: FFR's ``n_min - int(n_min - n_max * (1 - r) / r)`` (`make_harder` in its
    `datasets/dataset.py`). Several conflicting groups share that number in proportion to their sizes.

    Parameters
    ----------
    rule
        ``"class"``: of each class, as FFR; ``"overall"``: of the whole training set, as the paper's words are.
    """
    if bias == ORIGINAL:
        return dict(counts)
    ratio = float(bias)
    aligned = aligned_groups(counts)
    kept = {}
    for group, count in counts.items():
        typical = aligned[label_of(group)]
        if group == typical or count == 0:
            kept[group] = count
            continue
        classes = [label_of(group)] if rule == "class" else list(aligned)
        typicals = [aligned[label] for label in classes]
        conflicting = sum(n for g, n in counts.items() if label_of(g) in classes and g not in typicals)
        allowed = sum(counts[g] for g in typicals) * (1 - ratio) / ratio * count / conflicting
        kept[group] = count - max(0, int(count - allowed))
    return kept
