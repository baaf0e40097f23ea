"""Documents say what is there: the reference is the types' own, errors are those of the code, versions are one."""

import re
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

import fairdream
from fairdream.cli.config_reference import PATH, as_text

ROOT = PATH.parents[1]
PAGES = sorted((ROOT / "docs").glob("*.md"))
TEXTS = [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "config/README.md"]


def prose(page: Path) -> list[str]:
    """Return the lines outside of fenced blocks; those inside are empty."""
    lines, fenced = [], False
    for line in page.read_text(encoding="utf-8").splitlines():
        fence = line.lstrip().startswith("```")
        fenced ^= fence
        lines.append("" if fenced or fence else line)
    return lines


def anchors(page: Path) -> set[str]:
    titles = [line.lstrip("#").strip() for line in prose(page) if line.startswith("#")]
    return {re.sub(r"[\s]+", "-", re.sub(r"[^\w\s-]", "", title.lower())) for title in titles}


def test_the_reference_of_the_configuration_is_the_types_own():
    written = PATH.read_text(encoding="utf-8") if PATH.is_file() else ""
    assert written == as_text(), (
        "docs/config.md differs from the models of src/fairdream/config/root.py or from config.yaml. Heal it with\n"
        "    .venv/bin/fairdream config-reference\n"
        "and commit the file together with the change."
    )


def test_the_reference_has_every_key_with_its_range_and_the_paper_s_value():
    text = as_text()
    assert "| `fraction` | number ≥ 0 and ≤ 1 | – | `0.75` | Share of each group that is kept. |" in text
    assert "### `datasets.NAME.tables[]`" in text
    assert "### `baselines.self`" in text
    assert "| `bias` | number > 0.5 and < 1 | – |  | The bias that it stands for. |" in text
    rows = [row for row in text.splitlines() if row.startswith("| `")]
    assert all(row.count(" | ") >= 3 and not row.endswith("|  |") for row in rows), "a key without a description"


def test_every_page_is_in_the_site_s_navigation():
    site = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    named = [page for entry in site["nav"] for page in entry.values()]
    assert sorted(named) == [page.name for page in PAGES]
    assert site["theme"]["font"] is False, "the site fetches nothing from elsewhere"


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_to_files_and_headings_that_are_there(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", "\n".join(prose(page))):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), f"{page.name}: {target}"
        assert not anchor or anchor in anchors(file), f"{page.name}: {target}; there are {sorted(anchors(file))}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_list_or_table_begins_after_an_empty_line(page):
    """GitHub shows it anyway; the site would take it for the paragraph's next words."""
    lines = prose(page)
    for number, (before, line) in enumerate(pairwise(lines), 2):
        begins = re.match(r"[-*] |\d+\. |\|", line)
        goes_on = not before.strip() or re.match(r"\s|[-*] |\d+\. |\||<!--", before)
        assert goes_on or not begins, f"docs/{page.name}:{number}: {line}"


def test_every_error_of_the_faq_is_one_that_the_code_says():
    sources = [*(ROOT / "src/fairdream").rglob("*.py"), *(ROOT / "rules").glob("*.smk")]
    code = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    code = re.sub(r'"\s*\n\s*(\+ )?f?"', "", code)  # one message over several lines
    errors = re.findall(r"^### `(.+)`$", (ROOT / "docs/faq.md").read_text(encoding="utf-8"), re.M)
    assert len(errors) > 10
    for error in errors:
        pattern = ".*?".join(re.escape(part.strip()) for part in error.split("…"))
        assert re.search(pattern, code), error


def test_each_behaviour_of_a_library_names_a_test_and_a_script_that_are_there():
    page = (ROOT / "docs/behaviour.md").read_text(encoding="utf-8")
    tests = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    rows = re.findall(r"^\| (?!what happens|---).+ \| `(\w+)` \|$", page, re.M)
    assert len(rows) == len(re.findall(r"^\| (?!what happens)", page, re.M))
    assert [name for name in rows if f"def {name}(" not in tests] == []
    listed = (ROOT / "findings/README.md").read_text(encoding="utf-8")
    scripts = {path.name for path in (ROOT / "findings").glob("*.sh")}
    assert set(re.findall(r"`(?:findings/)?([\w-]+\.sh)`", page)) <= scripts
    assert set(re.findall(r"^\| `([\w-]+\.sh)`", listed, re.M)) == scripts


def test_the_version_stands_in_one_place_and_is_cited():
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert 'dynamic = ["version"]' in project
    assert 'version = { attr = "fairdream.__version__" }' in project
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))["version"]
    assert cited == fairdream.__version__
    changes = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)
    assert changes[0] == "Unreleased"
    assert all(re.fullmatch(r"\d+\.\d+\.\d+ \(\d{4}-\d\d-\d\d\)", release) for release in changes[1:])
    assert not changes[1:] or changes[1].split()[0] == fairdream.__version__


@pytest.mark.parametrize("path", sorted((ROOT / ".github").rglob("*.yml")), ids=lambda path: path.name)
def test_what_the_hosting_site_reads_is_valid(path):
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    if path.parent.name == "ISSUE_TEMPLATE" and path.name != "config.yml":
        assert content["name"]
        assert content["description"]
        ids = [field["id"] for field in content["body"]]
        assert len(ids) == len(set(ids))
        assert all(field["attributes"]["label"] for field in content["body"])
    for job in content.get("jobs", {}).values():
        targets = {run.split()[1] for step in job["steps"] if (run := step.get("run", "")).startswith("make ")}
        makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
        assert all(re.search(rf"^{target}:", makefile, re.M) for target in targets), targets


def test_the_workflow_catalogue_reads_what_it_knows():
    content = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text(encoding="utf-8"))
    assert set(content) == {"usage"}
    assert set(content["usage"]) == {"mandatory-flags", "software-stack-deployment", "report"}
    assert any(content["usage"]["software-stack-deployment"].values())
    assert (ROOT / "config/README.md").is_file()
