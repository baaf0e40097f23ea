"""Markdown tables as pages of the report: its own viewer offers a table for download alone, and knows no marks."""

from __future__ import annotations

import html
from pathlib import Path
from typing import NamedTuple

from fairdream.runtime.files import write_text


class Page(NamedTuple):
    """A page of the report: its title, and where it is found there."""

    title: str
    category: str
    subcategory: str | None
    kind: str  # the heading of its list


# By file name, in `tables/`.
PAGES = {
    "table1": Page("Table 1: accuracy of each method", "Tables", "As printed", "Table"),
    "table2": Page("Table 2: Group-DRO after synthetic images", "Tables", "As printed", "Table"),
    "table3": Page("Table 3: cost against accuracy", "Tables", "As printed", "Table"),
    "ablations": Page("Ablations", "Tables", "As printed", "Table"),
    "uncertainty": Page("Intervals of the worst-group accuracy", "Tables", "As printed", "Table"),
    "hours": Page("Time of the jobs", "Costs", None, "Costs"),
    "configuration": Page("Configuration", "Run", None, "Record"),
    "versions": Page("Software, models and data", "Run", None, "Record"),
}

STYLE = """
body { font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; color: #1e293b;
  margin: 1.5rem 2rem; }
h1 { font-size: 1.3rem; margin: 0 0 1rem; }
h2 { font-size: 1.05rem; margin: 1.8rem 0 .6rem; }
p { max-width: 60rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .8rem; text-align: left; white-space: nowrap; }
th { border-bottom: 2px solid #1e293b; vertical-align: bottom; }
td { border-bottom: 1px solid #e2e8f0; }
tbody tr:hover { background: #f1f5f9; }
u { text-underline-offset: 3px; text-decoration-thickness: 2px; }
pre { background: #f8fafc; border: 1px solid #e2e8f0; border-radius: 6px; padding: 1rem; overflow-x: auto;
  font: 13px/1.5 ui-monospace, "DejaVu Sans Mono", monospace; }
code { font: .9em ui-monospace, "DejaVu Sans Mono", monospace; }
"""


def page(markdown: str, html: str, title: str) -> None:
    """Write a Markdown file as a page of its own.

    Parameters
    ----------
    markdown
        Path of the Markdown; its HTML, such as ``<u>``, is kept.
    html
        Output: one file that loads nothing.
    """
    write_text(html, render(Path(markdown).read_text(encoding="utf-8"), title))


def render(markdown: str, title: str) -> str:
    """Return Markdown as a whole HTML document, with its title above where it has no first heading of its own."""
    from markdown_it import MarkdownIt

    body = MarkdownIt("commonmark", {"html": True}).enable("table").render(markdown)
    body = body.replace("<table>", '<div class="wide"><table>').replace("</table>", "</table></div>")
    title = html.escape(title)
    heading = "" if body.startswith("<h1>") else f"<h1>{title}</h1>\n"
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{title}</title>\n'
        f"<style>{STYLE}</style>\n</head>\n<body>\n{heading}{body}</body>\n</html>\n"
    )
