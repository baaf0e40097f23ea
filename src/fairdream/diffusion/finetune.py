"""Fine-tuning: LoRA adapters on the UNet of Stable Diffusion, one a subject, trained in pools.

A job answers for one adapter. It first looks into a store, where a finished adapter is kept under the identity of what
made it, so none is trained twice. Where its own is missing, the job trains it together with those of its mates (the
other subjects of its data set, bias and method) that are missing and that no other process trains; a mate's job then
finds its adapter in the store and ends without importing torch. The pool changes no adapter beyond rounding.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fairdream.diffusion.adapters import WEIGHTS, as_csv, save_adapter
from fairdream.diffusion.latents import Lesson, encode, load_base
from fairdream.diffusion.trainer import FinetuneJob, train
from fairdream.errors import UserError
from fairdream.identity import digest, file_digest
from fairdream.models.device import free_memory
from fairdream.models.tensor_files import read_metadata
from fairdream.models.weights import model_identity, model_path
from fairdream.runtime.files import atomic, claim, is_whole, write_text
from fairdream.runtime.job import LOGGER, stop_asked

LOOK_AGAIN = 1.0  # seconds between two looks at an adapter that another process trains


@dataclass(frozen=True)
class Subject:
    """A subject with its place in the store.

    Attributes
    ----------
    images
        As in the member file: id, path and SHA-256 of each.
    folder
        Of the store: weights, history, checkpoint, lock, and why a training in another job's pool failed.
    adapter
        Its own job's output.
    """

    name: str
    images: tuple[dict[str, str], ...]
    config: FinetuneJob
    identity: str
    folder: Path
    adapter: Path

    @property
    def checkpoint(self) -> Path:
        """What a training saves itself in."""
        return self.folder / "checkpoint.safetensors"

    @property
    def failure(self) -> Path:
        """Why a mate's job could not train it."""
        return self.folder / "failed.txt"

    def finished(self) -> bool:
        """Tell whether the store has it."""
        return is_whole(self.folder / WEIGHTS) and (self.folder / "history.csv").is_file()

    def wanted_by_a_mate(self) -> bool:
        """Tell whether a mate's job should train it: it is nowhere, and did not fail before."""
        return not (
            self.finished() or self.failure.is_file() or read_metadata(self.adapter).get("identity") == self.identity
        )


def finetune(
    subject: str,
    model: str,
    adapter: str,
    history: str,
    store: str,
    code: str,
    config: FinetuneJob,
    mates: dict[str, dict[str, Any]] | None = None,
    pool: int = 1,
) -> None:
    """Train the adapter of one subject, with those of its mates, or take it from the store.

    Parameters
    ----------
    subject
        The subject's member file; its mates' lie beside it.
    model
        Manifest of the base model.
    adapter, history
        Outputs: the adapter in diffusers' format, and loss, learning rate, images a second and peak memory by step.
    store
        Folder of finished adapters and checkpoints.
    code
        Digest of the code that trains; a part of the identity.
    mates
        Subjects that this run trains too -> their `config`, as plain values.
    pool
        Adapters trained at once, at the most.

    Raises
    ------
    UserError
        When the loss is not finite, an image changed since the subject was written, or the job was asked to stop.
    """
    own = _subject(Path(subject), config, model, Path(adapter), Path(store), code)
    if own.finished():
        LOGGER.info("%s: trained before, taken from %s", own.name, own.folder)
    else:
        _make(own, _mates_of(own, mates or {}, Path(subject), model, Path(store), code), model, pool)
    for source, target in ((own.folder / WEIGHTS, adapter), (own.folder / "history.csv", history)):
        with atomic(target) as path:
            shutil.copyfile(source, path)


def _subject(members: Path, config: FinetuneJob, model: str, adapter: Path, store: Path, code: str) -> Subject:
    content = json.loads(members.read_text(encoding="utf-8"))
    name, images = content["subject"], content["images"]
    hashes = [image["sha256"] for image in images]
    identity = digest([config.model_dump(), code, name, hashes, model_identity(model)])[:32]
    return Subject(name, tuple(images), config, identity, store / "adapters" / identity, adapter)


def _mates_of(
    own: Subject, mates: dict[str, dict[str, Any]], members: Path, model: str, store: Path, code: str
) -> list[Subject]:
    """Return the mates that can share a UNet with a subject: what differs is the prompt."""
    found = []
    for name, values in mates.items():
        file, config = members.with_name(f"{name}.json"), FinetuneJob(**values)
        same = config.model_copy(update={"prompt": own.config.prompt}) == own.config
        if name != own.name and same and file.is_file():
            adapter = own.adapter.parent.with_name(name) / own.adapter.name
            found.append(_subject(file, config, model, adapter, store, code))
    return found


def _make(own: Subject, mates: list[Subject], model: str, most: int) -> None:
    """See to it that the store has a subject's adapter: train it, or its mates' while another process trains it."""
    waiting = False
    while not own.finished():
        if own.failure.is_file():
            # told once, by its own job: the next attempt trains it again
            message = own.failure.read_text(encoding="utf-8")
            own.failure.unlink()
            raise UserError(message)
        wanted = {
            subject.folder / "lock": subject
            for subject in (own, *mates)
            if subject is own or subject.wanted_by_a_mate()
        }
        with claim(wanted, max(1, most)) as locks:
            # some may have been finished between the look and the lock
            mine = [wanted[lock] for lock in locks if not wanted[lock].finished()]
            if mine and not _train(mine, model):
                most = len(mine) // 2
                free_memory()
        if not mine and not own.finished():
            if not waiting:
                LOGGER.info("%s: another job trains it, waiting for that", own.name)
            waiting = True
            time.sleep(LOOK_AGAIN)
    if waiting:
        LOGGER.info("%s: trained meanwhile, taken from %s", own.name, own.folder)


def _train(subjects: list[Subject], model: str) -> bool:
    """Train adapters and write them into the store; one that fails leaves word there. Tell if the memory sufficed."""
    began = time.monotonic()
    by_name = {subject.name: subject for subject in subjects}

    def fail(name: str, error: UserError) -> None:
        LOGGER.error("%s", error)
        write_text(by_name[name].failure, str(error))

    def finish(lesson: Lesson, weights: dict[str, Any]) -> None:
        subject = by_name[lesson.name]
        write_text(subject.folder / "history.csv", as_csv(lesson.rows))
        save_adapter(weights, subject.folder / WEIGHTS, subject.config, _metadata(subject, model))
        subject.checkpoint.unlink(missing_ok=True)

    for name, image in _changed(subjects):
        fail(name, UserError(f"{image} changed during the run; start it again to take up the change"))
        by_name.pop(name)
    if not by_name:
        return True

    import torch

    if len(by_name) > 1:
        LOGGER.info("a pool of %d adapters: %s", len(by_name), ", ".join(by_name))
    path, config = model_path(model), subjects[0].config
    try:
        base = load_base(path)
        wanted = {
            name: (own.config.prompt, [image["path"] for image in own.images], own.checkpoint)
            for name, own in by_name.items()
        }
        lessons = []
        for name, lesson in encode(path, wanted, config.resolution).items():
            if isinstance(lesson, UserError):
                fail(name, lesson)
            else:
                lessons.append(lesson)
        if lessons:
            with stop_asked() as stopping:
                train(base, lessons, config, finish, lambda own, error: fail(own.name, error), stopping, began)
        return True
    except torch.OutOfMemoryError:
        if len(subjects) == 1:
            raise UserError(
                f"{subjects[0].name}: the device's memory does not suffice for one adapter; lower finetune.batch_size"
            ) from None
        LOGGER.warning("the device's memory does not suffice for %d adapters at once; half of them", len(subjects))
        return False


def _changed(subjects: Iterable[Subject]) -> list[tuple[str, str]]:
    """Return each subject of which an image is no longer the one that its member file lists, with that image."""
    found = []
    for subject in subjects:
        changed = [image["path"] for image in subject.images if file_digest(image["path"]) != image["sha256"]]
        found += [(subject.name, path) for path in changed[:1]]
    return found


def _metadata(subject: Subject, model: str) -> dict[str, str]:
    """Return what the header of an adapter tells of it."""
    return {
        "base_model": model_path(model),
        "prompt": subject.config.prompt,
        "token": subject.config.token or "",
        "rank": str(subject.config.rank),
        "subject": subject.name,
        "image_ids": json.dumps([image["id"] for image in subject.images]),
        "identity": subject.identity,
    }
