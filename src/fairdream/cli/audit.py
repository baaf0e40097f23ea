"""Is my data biased: runs what the audit of the training sets needs, none of it with a GPU, and prints the pages."""

from __future__ import annotations

from pathlib import Path

from fairdream.cli.run_snakemake import snakemake
from fairdream.planning import inference
from fairdream.runtime import run_snapshot


def show(arguments: list[str]) -> None:
    """Run Snakemake with its arguments up to the audits in this process, and print them."""
    snakemake(["audit_data", *arguments])  # first: a word behind --configfile would be one more file
    config = run_snapshot.parsed()
    for dataset in config.datasets:
        page = Path(config.results, dataset, "audit.md")
        if page.is_file():  # not after a dry run
            print(f"\n{page.read_text(encoding='utf-8')}")
            print(f"This page: {page}; as tables: {page.with_name('audit.csv')}, {page.with_name('audit.bias.csv')}")
    for caution in inference.without_attribute(config):
        print(f"\n{caution}")
