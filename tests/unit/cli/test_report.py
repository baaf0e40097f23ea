"""What the report shows beside figures: pages, marks of Table 3, hours, the record of a run, training curves."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest
import yaml
from PIL import Image

from fairdream.cli import report
from fairdream.cli.runs import Run
from fairdream.errors import UserError
from fairdream.reporting.compute_hours import hours
from fairdream.reporting.cost import _markdown
from fairdream.reporting.html_page import PAGES, page, render
from fairdream.reporting.provenance import ProvenanceJob, provenance
from fairdream.reporting.training_curves import training_curves

ROOT = Path(__file__).resolve().parents[3]


def test_a_page_keeps_the_marks_of_a_table_and_loads_nothing(tmp_path):
    (tmp_path / "table.md").write_text(
        "| A & B | WGA |\n| --- | ---: |\n| x | **9.5 ± 0.1** |\n| y | <u>8</u> |\n\nNote.\n"
    )
    page(str(tmp_path / "table.md"), str(tmp_path / "table.html"), "Table <1>")
    text = (tmp_path / "table.html").read_text()
    assert "<strong>9.5 ± 0.1</strong>" in text
    assert "<u>8</u>" in text
    assert "<th>A &amp; B</th>" in text
    assert "<h1>Table &lt;1&gt;</h1>" in text
    assert "<p>Note.</p>" in text
    assert not re.search(r"(src|href)=|url\(|@import", text)


def test_yaml_on_a_page_is_shown_as_it_stands():
    assert "a: &lt;b&gt;\n  c: **1**\n" in render("```yaml\na: <b>\n  c: **1**\n```\n", "t")


def test_table_3_marks_the_best_and_the_second_as_they_are_rounded():
    rows = [("vanilla", 70.04, 80.0), ("lora", 79.96, 85.0), ("dreambooth", 80.04, 85.0), ("ffr", 10.0, 90.0)]
    table = pd.DataFrame(
        [
            {"method": method, "complexity": "O(1)", "wga": wga, "aga": aga}
            | {f"{stage}_hours": 1.0 for stage in ("finetune", "generate", "score")}
            for method, wga, aga in rows
        ]
    )
    cells = [line.split(" | ")[-2:] for line in _markdown(table).splitlines()[2:6]]
    assert cells == [
        ["70.0", "80.0 |"],
        ["**80.0**", "<u>85.0</u> |"],
        ["**80.0**", "<u>85.0</u> |"],
        ["10.0", "**90.0** |"],
    ]


def benchmark(folder, rule, name, seconds, gpu=0, **wildcards):
    path = folder / rule / f"{name}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [{"s": value, "resources": {"gpu": gpu}, "wildcards": wildcards} for value in seconds]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_the_time_of_the_jobs_is_their_last_run_s(tmp_path):
    benchmark(tmp_path, "finetune", "a", [99999.0, 7200.0], gpu=1, method="lora")
    benchmark(tmp_path, "finetune", "b", [3600.0], gpu=1, method="lora_g1")
    benchmark(tmp_path, "pretrain", "c", [36000.0], gpu=1, method="erm")
    benchmark(tmp_path, "select", "d", [360.0], method="lora")
    (tmp_path / "select/killed.jsonl").write_text("")
    hours(str(tmp_path), str(tmp_path / "hours.md"))
    lines = (tmp_path / "hours.md").read_text().splitlines()
    assert lines[0].startswith("4 jobs: 13.0 hours of jobs that ask for a GPU, 0.1 of others;")
    assert "| finetune | yes | 2 | 3.0 | 2.0 |" in lines
    assert "| select | no | 1 | 0.1 | 0.1 |" in lines
    # in the order of Table 1
    assert lines[-2:] == ["| ERM |  |  |  | 10.0 |  | 10.0 |", "| LoRA-finetuning | 3.0 |  |  |  |  | 3.0 |"]


def test_a_short_run_is_told_in_minutes(tmp_path):
    benchmark(tmp_path, "score", "a", [90.0], gpu=1, method="vanilla")
    hours(str(tmp_path), str(tmp_path / "hours.md"))
    assert "1.5 minutes of jobs that ask for a GPU" in (tmp_path / "hours.md").read_text()


def test_the_record_of_a_run_has_its_configuration_versions_models_and_counts(tmp_path):
    for role, files in {"diffusion": {"a": "1" * 64}, "clip": {"b": "2" * 64}, "encoder": {}}.items():
        (tmp_path / f"{role}.json").write_text(json.dumps({"path": str(tmp_path), "files": files}))
    config = ProvenanceJob(
        configuration={"seed": 3, "datasets": {"birds": {"labels": {"a": "ä"}}}},
        counts={"birds": {"original": {"a-x": 1200, "b-y": 7}}},
        origins={"birds": "a folder\n"},
        sources={"diffusion": "hub/model at abc", "clip": "ViT-L-14 openai", "encoder": "small_cnn random weights"},
    )
    models = {role: str(tmp_path / f"{role}.json") for role in config.sources}
    provenance(models, str(tmp_path / "configuration.md"), str(tmp_path / "versions.md"), config)
    text = (tmp_path / "configuration.md").read_text()
    assert yaml.safe_load(text.split("```yaml\n")[1].split("```")[0]) == config.configuration
    versions = (tmp_path / "versions.md").read_text()
    assert re.search(r"^\| diffusion \| hub/model at abc \| 1 \| [0-9a-f]{16} \|$", versions, re.M)
    assert "| encoder | small_cnn random weights | 0 | – |" in versions
    assert "| original | 1,200 | 7 |" in versions
    torch = re.search(r"^torch==(\S+)", (ROOT / "requirements.lock").read_text(), re.M)[1].split(" ")[0]
    assert f"| torch | {torch}" in versions


def test_training_curves_have_a_panel_a_group(tmp_path):
    paths = []
    for subject in ("even-land-c00", "even-land-c01", "odd-water-c00"):
        path = tmp_path / subject / "history.csv"
        path.parent.mkdir()
        pd.DataFrame({"step": range(10, 110, 10), "loss": range(10)}).to_csv(path, index=False)
        paths.append(str(path))
    training_curves(paths, str(tmp_path / "two.png"))
    training_curves(paths[:2], str(tmp_path / "one.png"))
    with Image.open(tmp_path / "one.png") as one, Image.open(tmp_path / "two.png") as two:
        assert two.width > 1.5 * one.width
        assert two.height == one.height


def test_each_page_and_figure_has_a_caption_that_is_there():
    named = {
        path for file in (ROOT / "rules").glob("*.smk") for path in re.findall(r'caption="(.+)"', file.read_text())
    }
    assert named
    for path in named:
        assert (ROOT / "rules" / path).resolve().is_file(), path
    caption = (ROOT / "workflow/report/page.rst").read_text()
    assert set(re.findall(r'table == "(\w+)"', caption)) == set(PAGES)


def test_a_report_of_another_format_is_refused_before_anything_runs(tmp_path):
    with pytest.raises(UserError, match=r"report\.pdf: a report is an \.html file"):
        report.report(Run(("config/demo.yaml",), "profiles/demo"), tmp_path / "report.pdf")
