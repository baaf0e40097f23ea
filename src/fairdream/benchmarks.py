"""Snakemake's extended benchmark files: a line a run of a job, the last of which is the one that counts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def last_record(path: Path) -> dict[str, Any]:
    """Return the last line of a benchmark file: rule, wildcards, params and ``s``, the seconds; empty without one."""
    try:
        return json.loads(path.read_text(encoding="utf-8").splitlines()[-1])
    except (IndexError, ValueError):
        return {}  # Snakemake was killed while it wrote
