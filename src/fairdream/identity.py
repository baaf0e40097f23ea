"""Names for "the same computation": seeds from names, digests of values and of files."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any


def seed_of(*names: object) -> int:
    """Return a 63-bit seed that depends on the names alone, never on time, order or pool."""
    return int.from_bytes(hashlib.sha256(repr(names).encode()).digest()[:8], "big") >> 1


def digest(value: Any) -> str:
    """Return the SHA-256 of a JSON-able value; the order of keys does not matter."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def file_digest(path: str | Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
