"""The report of a run of the smallest configuration, opened in a real Chromium: every section, every result."""

import base64
import json
import os
import re
import shutil
import sys
from pathlib import Path

import browser
import pytest
import yaml
from conftest import ONE_THREAD, needs_models, planned, run_snakemake
from processes import run

from fairdream.reporting.html_page import PAGES

pytestmark = [pytest.mark.slow, needs_models]
CATEGORIES = {
    "Audits",
    "CLIP scores",
    "Clusters",
    "Comparisons",
    "Contact sheets",
    "Costs",
    "Figures",
    "Run",
    "Tables",
    "Training curves",
}


def make_report(project: Path, timeout: float = 300):
    """Run `fairdream report` as a user does."""
    variables = {key: value for key, value in os.environ.items() if not key.startswith(("SNAKEMAKE", "FAIRDREAM"))}
    variables |= {
        "PYTHONPATH": str(project / "src"),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    command = [sys.executable, "-m", "fairdream", "report", "--profile", "profiles/small"]
    return run(*command, cwd=project, env=variables, timeout=timeout)


def edit(project: Path, change) -> None:
    values = yaml.safe_load((project / "config.yaml").read_text())
    change(values)
    (project / "config.yaml").write_text(yaml.safe_dump(values))


@pytest.fixture(scope="module")
def reported(finished, tmp_path_factory):
    """A copy of the finished run with its report, of two methods: the others' figures would take a minute."""
    project = tmp_path_factory.mktemp("report") / "project"
    shutil.copytree(finished[0], project, symlinks=True)
    edit(project, lambda values: values.update(methods=["erm", "clustered_dreambooth"]))
    (project / "profiles/small").mkdir()
    settings = {"cores": 2, "set-threads": ONE_THREAD}
    (project / "profiles/small/config.yaml").write_text(yaml.safe_dump(settings))
    done = make_report(project)
    assert done.returncode == 0, done.stdout[-4000:]
    return project, done.stdout


def test_a_report_makes_nothing_stale_and_is_made_without_a_job_the_second_time(reported):
    project, said = reported
    assert re.search(r"Making \d+ parts of the report", said)
    assert planned(run_snakemake(project, "-n").stdout) == {}
    again = make_report(project)
    assert again.returncode == 0, again.stdout
    assert "Making" not in again.stdout
    assert "results/report.html: " in again.stdout


def test_no_report_begins_to_train(reported, tmp_path):
    project = tmp_path / "project"
    shutil.copytree(reported[0], project, symlinks=True)
    edit(project, lambda values: values["finetune"].update(learning_rate=0.5))
    (project / "results/report.html").unlink()
    done = make_report(project)
    assert done.returncode == 1
    assert re.search(r"\d+ jobs that ask for a GPU come first \(.*\d+ finetune", done.stdout), done.stdout
    assert not (project / "results/report.html").exists()


@pytest.mark.skipif(browser.PROGRAM is None, reason=f"none of {', '.join(browser.NAMES)} is installed")
def test_every_section_opens_every_image_loads_and_no_error_is_on_the_console(reported, tmp_path, tell):
    project, _ = reported
    with browser.chromium(tmp_path) as page:
        page.open(project / "results/report.html")
        seen = Reader(page, project).read_all()
        assert page.errors == []
        assert page.requests == []
    assert seen.keys() == set(page_paths(project))
    kinds = [seen[path] for path in seen]
    tell(f"report: {len(seen)} results opened in Chromium, {kinds.count('image')} images")


def page_paths(project: Path) -> list[str]:
    """All that the report is to have, by the folders of the run."""
    names = [f"results/tables/{name}.html" for name in PAGES if (project / f"results/tables/{name}.md").is_file()]
    rest = ["tables/*.csv", "*/*/*/quality.csv", "*/audit.html", "figures/*.png"]
    found = [path for pattern in rest for path in (project / "results").glob(pattern)]
    assert {"quality.csv", "audit.html"} <= {path.name for path in found}
    return names + [str(path.relative_to(project)) for path in found]


class Reader:
    """Goes through a report as its reader would: by clicks."""

    def __init__(self, page: browser.Page, project: Path) -> None:
        self.page, self.project, self.seen = page, project, {}

    def read_all(self) -> dict[str, str]:
        """Open everything and return the kind of each result."""
        page = self.page
        page.wait("document.querySelector('#rulegraph canvas, #rulegraph svg') !== null")
        words = page.run("document.querySelector('.prose').innerText")
        assert "How to read it" in words
        assert "System Message" not in words
        page.run("[...document.querySelectorAll('.prose a')].find(link => link.innerText === 'CLIP scores').click()")
        page.wait("document.querySelector('nav').innerText.includes(', bias original')")
        # two results of one label would be one here
        page.run("app.setView({navbarMode: 'searchresults', searchTerm: 'clustered'})")
        found = "Object.keys(results).filter(path => path.includes('clustered')).length"
        page.wait(f"document.querySelectorAll('nav tbody tr').length === {found}")
        page.run("document.querySelector('nav nav li a').click()")
        self.click("Statistics")
        page.wait("document.querySelectorAll('#runtimes canvas, #timeline canvas').length === 2")
        self.click("About")
        self.click("react 18.2.0")
        page.wait("document.body.innerText.includes('Permission is hereby granted')")
        categories = page.run("categories")
        assert categories.keys() == CATEGORIES
        for category, parts in categories.items():
            for part, paths in parts.items():
                self.to(category, part, parts)
                assert page.run("document.querySelectorAll('nav tbody tr').length") == len(paths)
                for row in range(len(paths)):
                    self.result(category, part, parts, row)
        return self.seen

    def to(self, category: str, part: str, parts: dict) -> None:
        self.page.run("document.querySelector('nav nav li a').click()")
        self.click(category)
        if len(parts) > 1:
            self.click(part)

    def result(self, category: str, part: str, parts: dict, row: int) -> None:
        page = self.page
        self.to(category, part, parts)
        button = f"document.querySelectorAll('nav tbody tr')[{row}].querySelectorAll('td:last-child a')"
        download = page.run(f"{button}[0].hasAttribute('download') ? {button}[0].href : null")
        if download is None:
            page.run(f"{button}[0].click()")
        page.run(f"{button}[1].click()")  # what it shows, and how it was made
        path = page.run("app.state.resultPath")
        assert path not in self.seen
        caption = page.run("document.querySelector('nav li.prose')?.innerText")
        assert caption, f"{path}: no caption"
        assert "System Message" not in caption
        assert "{" not in caption
        if download is not None:
            assert base64.b64decode(download.split("base64,")[1]) == (self.project / path).read_bytes()
            self.seen[path] = "table"
        elif path.endswith(".png"):
            picture = "document.querySelector('#app div.p-3 > img')"
            width = page.run(f"{picture}.decode().then(() => {picture}.naturalWidth)")
            assert width >= 200, f"{path}: {width} pixels wide"
            top = page.run(f"{picture}.closest('.overflow-auto').scrollTop = 0, {picture}.getBoundingClientRect().top")
            assert top >= 0, f"{path}: its top cannot be reached"
            self.seen[path] = "image"
        else:
            title = re.search("<title>(.+)</title>", (self.project / path).read_text())[1]
            page.wait(f"document.querySelector('iframe') !== null /* {title} */")
            text = self.frame_with(title)
            assert len(text) > 200, text
            self.seen[path] = "page"

    def frame_with(self, title: str) -> str:
        for _ in range(200):
            for text in self.page.texts_of_frames():
                if text.startswith(title):
                    return text
        pytest.fail(f"{title}: not shown")

    def click(self, text: str) -> None:
        """Click the entry of the side bar with this text."""
        links = "[...document.querySelectorAll('nav a')]"
        same = f"(link => link.innerText.trim() === {json.dumps(text)})"
        assert self.page.run(f"{links}.filter{same}.length") == 1, text
        self.page.run(f"{links}.find{same}.click()")
