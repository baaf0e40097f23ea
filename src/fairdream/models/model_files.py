"""What makes a model this model: the manifest of its files with their SHA-256.

A folder, or a link to one, can hold other weights tomorrow. Beside the manifest a note keeps each file's size, time
stamp and place; `refresh` compares them at the start of a run, reads only what differs, and writes the manifest anew
only when content changed. A touched file is no change.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from fairdream.errors import UserError
from fairdream.identity import file_digest
from fairdream.models.model_layout import CHECKS, check_link
from fairdream.runtime.files import remedy, write_if_changed

Notes = dict[str, dict[str, Any]]  # file, relative to the model's folder -> size, mtime_ns, place, sha256


def write_manifest(manifest: str | Path, path: Path | None, config: dict[str, Any]) -> int:
    """Read all files of a model and write its manifest; return their number.

    Parameters
    ----------
    manifest
        Output, with the note beside it.
    path
        Folder, or single file, of the model; ``None``: random weights, which have no file.
    config
        What the configuration asked for.

    Raises
    ------
    UserError
        When the model has no files, one cannot be read, or nothing can be written there.
    """
    notes = {} if path is None else _look(path, Path(manifest), {})
    _write(Path(manifest), str(path or "."), notes, config)
    return len(notes)


def refresh(manifest: str | Path, role: str) -> bool:
    """Rewrite an existing manifest if its model changed since; tell whether it did.

    A model that is gone, as a whole or in part, is left to the check at the start of a run: what was made with it
    stands without it.

    Raises
    ------
    UserError
        When what lies there now is no whole model.
    """
    manifest = Path(manifest)
    content = _json(manifest)
    files, stated = content.get("files"), content.get("path")
    if not isinstance(files, dict) or not isinstance(stated, str) or not files or not os.path.exists(stated):
        return False  # never fetched, damaged, random weights, or removed
    path = Path(stated)
    try:
        notes = _look(path, manifest, _json(_note(manifest)))
        changed = bool(_digests(notes) != files)
        if changed:
            CHECKS[role](path)
    except UserError:
        if all(os.path.isfile(path / name if path.is_dir() else path) for name in files):
            raise
        return False
    if changed:
        _write(manifest, str(content["path"]), notes, content.get("model"))
    else:
        _write_note(manifest, notes)
    return changed


def check_asked_for(manifest: str | Path, config: dict[str, Any]) -> None:
    """Compare the model of a manifest with the one that the configuration asks for.

    Raises
    ------
    UserError
        When another configuration has put its own in the same place.
    """
    own = _json(Path(manifest)).get("model")
    if isinstance(own, dict) and own and own != config:
        words = ", ".join(f"{key}: {value}" for key, value in own.items() if value)
        raise UserError(
            f"{manifest}: is of another configuration's model ({words}); give each its own models.folder, or delete "
            "that file to have it recreated"
        )


def model_files(path: Path) -> dict[str, Path]:
    """Return what decides of a model's files, by their names below its folder.

    Documents, and what is hidden below the folder, such as a downloader's notes, decide nothing.

    Raises
    ------
    UserError
        When a link leads nowhere.
    """
    files = _walk(path, ()) if path.is_dir() else [path]
    return {(file.relative_to(path).as_posix() if path.is_dir() else file.name): file for file in files}


def _walk(folder: Path, above: tuple[str, ...]) -> Iterator[Path]:
    """Yield files below a folder, through links to folders too, but for links that lead back up."""
    place = os.path.realpath(folder)
    for entry in sorted(folder.iterdir()) if place not in above else []:
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from _walk(entry, (*above, place))
        elif entry.suffix != ".md":
            check_link(entry)
            if entry.is_file():  # a pipe would be waited for without end
                yield entry


def _look(path: Path, manifest: Path, known: Notes) -> Notes:
    """Return a note of each file; what is noted in `known` as it is now is not read."""
    if path.is_dir() and manifest.parent.resolve().is_relative_to(path.resolve()):
        raise UserError(
            f"models.folder: {manifest.parent} is inside the model's own folder {path}; name another one, for what is "
            "written there would be taken for a part of the model"
        )
    notes: Notes = {}
    try:
        for name, file in model_files(path).items():
            found = file.stat()
            now = {"size": found.st_size, "mtime_ns": found.st_mtime_ns, "place": os.path.realpath(file)}
            old: Any = known.get(name)
            same = isinstance(old, dict) and "sha256" in old and now.items() <= old.items()
            notes[name] = {**now, "sha256": old["sha256"] if same else file_digest(file)}
    except OSError as error:
        raise UserError(f"{error.filename}: {error.strerror}; make it readable (chmod), or fetch it again") from None
    if not notes:
        raise UserError(f"{path}: has no file that tells this model from another; name the folder with the weights")
    return notes


def _digests(notes: Notes) -> dict[str, str]:
    return {name: note["sha256"] for name, note in notes.items()}


def _write(manifest: Path, path: str, notes: Notes, config: dict[str, Any] | None) -> None:
    """Write the manifest, then the note: where a process dies in between, the next one reads the model again."""
    content = {"path": path, "files": _digests(notes), "model": config}
    try:
        write_if_changed(manifest, _text(content))
    except OSError as error:
        raise UserError(f"models.folder: {manifest.parent} cannot be written: {remedy(error) or error}") from None
    _write_note(manifest, notes)


def _write_note(manifest: Path, notes: Notes) -> None:
    # it only saves time: without it the model is read at each start
    with suppress(OSError):
        write_if_changed(_note(manifest), _text(notes))


def _text(values: dict[str, Any]) -> str:
    return json.dumps(values, indent=1, sort_keys=True) + "\n"


def _note(manifest: Path) -> Path:
    return manifest.with_suffix(".seen.json")


def _json(path: Path) -> dict[str, Any]:
    """Return what a file of ours holds; nothing where it is damaged or not there."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
