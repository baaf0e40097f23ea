"""What names say of the splits: those of tables, of the images' folders, and the images' own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from fairdream.cli.new_dataset.columns import FOLDER_SPLIT, NAME_SPLIT
from fairdream.cli.new_dataset.split_words import (
    SPLITS,
    hint_together,
    hints,
    says_split,
    split_of,
    split_of_file,
    split_of_word,
    told_apart,
)

if TYPE_CHECKING:
    import pandas as pd


def file_splits(folder: Path, files: Sequence[Path]) -> dict[Path, str]:
    """Return what tables' names say, or those of their folders: a split, or a name that is asked about.

    Nothing for a table of which neither says anything. What has other meanings too, as ``te`` does, counts where each
    of several tables says something.
    """
    named, splits = [], []
    for file in files:
        inner = file.parent.relative_to(folder).parts[::-1]
        names = [file.stem, *inner, folder.name]
        certain = next((name for name in names if split_of(name) or split_of_file(name)), None)
        asked = next((name for name in (file.stem, *inner) if says_split(name)), "")
        named.append(asked if certain is None else certain)
        splits.append(None if certain is None else split_of(certain) or split_of_file(certain))
    if len(files) > 1 and all(name or hints(file.stem, True) for name, file in zip(named, files, strict=True)):
        named = [name or file.stem for name, file in zip(named, files, strict=True)]
    return dict(zip(files, told_apart(named, splits), strict=True))


def folder_splits(paths: Sequence[str], columns: Sequence[pd.Series], only_where_they_differ: bool) -> pd.Series | None:
    """Return the split that an image's folders name; nothing where no folder does.

    A folder with the name of the image's class or attribute is no split. Folders that all images share say something
    only where nothing else does.
    """
    import pandas as pd

    folders = [path.split("/")[:-1] for path in paths]
    classes = [set(own) for own in zip(*columns, strict=True)]
    shared = shared_folders(folders)

    def said(of: Callable[[str], str | None], levels: slice) -> tuple[list[str], list[str]]:
        """Return of each image the first folder that names a split, and all splits that its folders name."""
        named = [
            [(name, split) for name in own[levels] if name not in known and (split := of(name))]
            for own, known in zip(folders, classes, strict=True)
        ]
        names = [own[0][0] if own else "" for own in named]
        return names, ["+".join(sorted({split for _, split in own})) for own in named]

    # names that only begin with a word, as `train_station` does, count where every image has one
    names, splits = said(split_of, slice(shared, None))
    if not all(split in SPLITS for split in splits):
        names, splits = said(split_of_word, slice(shared, None))
    if not any(splits) and not only_where_they_differ:
        names, splits = said(split_of_word, slice(shared))
    return pd.Series(told_apart(names, splits), name=FOLDER_SPLIT, dtype=object) if any(splits) else None


def folder_hints(paths: Sequence[str], columns: Sequence[pd.Series]) -> pd.Series | None:
    """Return of each image the names of its folders with words for splits in them; nothing where none has.

    Not those that have the name of its class or attribute, in `columns`, nor those that all images share.
    """
    import pandas as pd

    folders = [path.split("/")[:-1] for path in paths]
    shared = shared_folders(folders)
    classes = [set(own) for own in zip(*columns, strict=True)]
    own_folders = [
        [name for name in own[shared:] if name not in known] for own, known in zip(folders, classes, strict=True)
    ]
    # what has other meanings too counts where each image has it
    also = hint_together("/".join(own) for own in own_folders)
    found = ["/".join(name for name in own if hints(name, also)) for own in own_folders]
    return pd.Series(found, name=FOLDER_SPLIT, dtype=object) if any(found) else None


def shared_folders(folders: Sequence[Sequence[str]]) -> int:
    """Return how many folders, from the first, all images share."""
    shared = 0
    while all(len(own) > shared and own[shared] == folders[0][shared] for own in folders):
        shared += 1
    return shared


def name_hints(paths: Sequence[str]) -> pd.Series | None:
    """Return the words for splits in each image's own name; nothing where they are not for training and another."""
    import pandas as pd

    stems = [PurePosixPath(path).stem for path in paths]
    also = hint_together(stems)
    said = [sorted(hints(stem, also)) for stem in stems]
    if not also and not {"train"} < {split for own in said for split in own}:
        return None
    return pd.Series(["+".join(own) for own in said], name=NAME_SPLIT, dtype=object)
