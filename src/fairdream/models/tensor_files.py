"""safetensors files: the same content is the same bytes, and an identity that goes by the content alone.

The library writes the keys of a file's metadata in random order (safetensors 0.8), so each save of the same adapter
would be another file, and all its images would be drawn again.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from fairdream.runtime.files import atomic

BLOCK = 1 << 20  # bytes that are in memory at once


def save(tensors: Mapping[str, Any], path: str | Path, metadata: Mapping[str, str] | None = None) -> None:
    """Write arrays of numpy or tensors of torch as a safetensors file, atomically, with sorted metadata."""
    # only who has tensors of torch loads it, and has its version in the digest of the code
    torch_s = any(type(tensor).__module__.split(".")[0] == "torch" for tensor in tensors.values())
    library = importlib.import_module(f"safetensors.{'torch' if torch_s else 'numpy'}")
    with atomic(path) as temporary:
        library.save_file(dict(tensors), temporary, metadata=dict(metadata) if metadata else None)
        _sort(temporary)


def read_metadata(path: str | Path) -> dict[str, str]:
    """Return the metadata of a safetensors file without any library; empty where there is none, or a damaged one."""
    try:
        with open(path, "rb") as file:
            return dict(_header(file).get("__metadata__", {}))
    except (FileNotFoundError, struct.error, ValueError, TypeError, AttributeError):
        return {}


def content_digest(path: str | Path) -> str:
    """Return the SHA-256 of a safetensors file's content, however it is written.

    It is that of metadata, and of names, types, shapes and bytes of the tensors, all sorted by name.
    """
    with open(path, "rb") as file:
        header = _header(file)
        begin = file.tell()
        places = {name: tensor.pop("data_offsets") for name, tensor in header.items() if name != "__metadata__"}
        found = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
        for _, (start, stop) in sorted(places.items()):
            file.seek(begin + start)
            for at in range(start, stop, BLOCK):
                found.update(file.read(min(BLOCK, stop - at)))
    return found.hexdigest()


def _header(file: BinaryIO) -> dict[str, Any]:
    """Read the header, which a safetensors file begins with; the bytes of the tensors follow."""
    (size,) = struct.unpack("<Q", file.read(8))
    if size > os.fstat(file.fileno()).st_size:
        raise ValueError(f"a header of {size} bytes in a smaller file")
    return json.loads(file.read(size))


def _sort(path: Path) -> None:
    """Write the header of a safetensors file anew, with sorted metadata, in the room that it has."""
    with open(path, "r+b") as file:
        header = _header(file)
        room = file.tell() - 8
        header |= {"__metadata__": dict(sorted(header["__metadata__"].items()))} if "__metadata__" in header else {}
        text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
        assert len(text) <= room, "a header in another order takes no more room"
        file.seek(8)
        file.write(text.ljust(room))
