"""Formulas as MathML while the site is built, so that it needs no script and no font from elsewhere."""

import html
import re

from latex2mathml.converter import convert

FORMULA = re.compile(r'<(span|div) class="arithmatex">(?:\\\(|\\\[)(.*?)(?:\\\)|\\\])</\1>', re.S)


def on_page_content(content: str, **_: object) -> str:
    """Replace the formulas that the Markdown extension marked; MkDocs calls this with each page."""
    return FORMULA.sub(_mathml, content)


def _mathml(match: re.Match[str]) -> str:
    display = "block" if match[1] == "div" else "inline"
    mathml = convert(html.unescape(match[2]).strip(), display=display)
    return f'<div style="overflow-x: auto">{mathml}</div>' if display == "block" else mathml
