"""Where a result stands in the report, and under which label: by the wildcards of the job that makes it.

Each function, or the one that it returns, is what Snakemake's `report` calls with the wildcards.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fairdream.methods import method_of
from fairdream.reporting.html_page import PAGES


def of_run(wildcards: Any) -> str:
    """Return the subcategory of the report in which a data set's results at one bias are."""
    return f"{wildcards.dataset}, bias {wildcards.bias}"


def label(kind: str, *words: str) -> Callable[[Mapping[str, str]], dict[str, str]]:
    """Return the label of a result in the report: its kind, and what sets it apart from all others of that kind.

    One label each: where two alternate, Snakemake's viewer makes a switch of them and fails when a pair lacks one.
    """

    def of(wildcards: Mapping[str, str]) -> dict[str, str]:
        names = dict(wildcards)
        own = [method_of(names["method"]).title] if "method" in names else []
        own += [names[key] for key in ("group", "dataset", "bias") if key in names]
        return {kind: " · ".join([*words, *own])}

    return of


def page_category(wildcards: Any) -> str:
    """Return the category of a page."""
    return PAGES[wildcards.table].category


def page_subcategory(wildcards: Any) -> str | None:
    """Return the subcategory of a page, if it has one."""
    return PAGES[wildcards.table].subcategory


def page_label(wildcards: Any) -> dict[str, str]:
    """Return the label of a page: its kind and title."""
    return {PAGES[wildcards.table].kind: PAGES[wildcards.table].title}
