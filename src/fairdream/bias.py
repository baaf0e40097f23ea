"""How biased a training set is: group counts at a bias ratio, and which groups are aligned.

Everything here is arithmetic on counts, so a dry run knows every job before any image is read.
"""

from __future__ import annotations

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
    """Return each label's aligned group: its largest; of equals, the first by name.

    Parameters
    ----------
    counts
        Training images of each group at the original bias.
    """
    aligned: dict[str, str] = {}
    for group in sorted(counts):
        label = label_of(group)
        if label not in aligned or counts[group] > counts[aligned[label]]:
            aligned[label] = group
    return aligned


def counts_at(counts: Mapping[str, int], bias: str) -> dict[str, int]:
    """Return the training images of each group at a bias.

    At ratio r a class keeps its aligned group and shrinks the conflicting ones until they are at most 1 - r of the
    class, rounded up, so never to nothing: FFR's ``n_min - int(n_min - n_max * (1 - r) / r)`` (`make_harder` in its
    `datasets/dataset.py`). Several conflicting groups share that number in proportion to their sizes.
    """
    if bias == ORIGINAL:
        return dict(counts)
    ratio = float(bias)
    aligned = aligned_groups(counts)
    kept = {}
    for group, count in counts.items():
        largest = aligned[label_of(group)]
        if group == largest:
            kept[group] = count
            continue
        conflicting = sum(n for g, n in counts.items() if label_of(g) == label_of(group) and g != largest)
        allowed = counts[largest] * (1 - ratio) / ratio * count / conflicting
        kept[group] = count - max(0, int(count - allowed))
    return kept
