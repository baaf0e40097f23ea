"""Is my data biased: ``python -m fairdream.audit_cli SNAKEMAKE-ARGUMENTS…``, or `make audit`.

Runs what the audit of the training sets needs, none of it with a GPU, and prints the pages.
"""

from __future__ import annotations

import sys
from pathlib import Path

from fairdream import planned
from fairdream.command import snakemake
from fairdream.errors import UserError


def main(arguments: list[str]) -> None:
    """Run Snakemake up to the audits in this process, and print them."""
    snakemake(["audit_data", *arguments])  # first: a word behind --configfile would be one more file
    config = planned.parsed()
    for dataset in config.datasets:
        page = Path(config.results, dataset, "audit.md")
        if page.is_file():  # not after a dry run
            print(f"\n{page.read_text(encoding='utf-8')}")
            print(f"This page: {page}; as tables: {page.with_name('audit.csv')}, {page.with_name('audit.bias.csv')}")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UserError as error:
        raise SystemExit(str(error)) from None
