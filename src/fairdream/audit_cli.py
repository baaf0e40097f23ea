"""Is my data biased: ``python -m fairdream.audit_cli SNAKEMAKE-ARGUMENTS…``, or `make audit`.

Runs what the audit of the training sets needs, none of it with a GPU, and prints the pages.
"""

from __future__ import annotations

import sys
from pathlib import Path

from fairdream import planned


def main(arguments: list[str]) -> None:
    """Run Snakemake up to the audits in this process, and print them."""
    from snakemake.cli import main as snakemake

    try:
        snakemake([*arguments, "audit_data"])
    except SystemExit as error:
        if error.code:
            raise
    config = planned.parsed()
    for dataset in config.datasets:
        page = Path(config.results, dataset, "audit.md")
        if page.is_file():  # not after a dry run
            print(f"\n{page.read_text(encoding='utf-8')}")
            print(f"This page: {page}; as tables: {page.with_name('audit.csv')}, {page.with_name('audit.bias.csv')}")


if __name__ == "__main__":
    main(sys.argv[1:])
