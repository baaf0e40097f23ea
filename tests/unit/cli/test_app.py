"""The command `fairdream`: how a run is named, which profile it gets, and what Snakemake is told."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
import yaml
from click.testing import CliRunner
from snakemake.cli import parse_args

from fairdream.cli import app, runs
from fairdream.errors import UserError
from fairdream.identity import digest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """A folder that has what a command looks at, with a configuration and a trial of the user's own; no SLURM."""
    for part in ("Snakefile", "config.yaml", "config", "profiles"):
        (shutil.copytree if (ROOT / part).is_dir() else shutil.copy)(ROOT / part, tmp_path / part)
    (tmp_path / "resources").symlink_to(ROOT / "resources")
    (tmp_path / "more.yaml").write_text("seeds: [0]\n")
    for name in ("birds", "birds-trial"):
        shutil.copy(ROOT / "config/demo.yaml", tmp_path / f"config/{name}.yaml")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runs, "slurm_answers", lambda: False)
    return tmp_path


@pytest.fixture
def executed(monkeypatch):
    """The commands that would have become this process."""
    found = []
    monkeypatch.setattr(os, "execv", lambda program, command: found.append(command))
    return found


def call(*words):
    return CliRunner().invoke(app.app, list(words), catch_exceptions=False)


@pytest.mark.parametrize(
    ("words", "configfiles", "expected", "targets"),
    [
        ((), (), runs.Run(("config.yaml",), "profiles/local"), ()),
        (("paper",), (), runs.Run(("config.yaml",), "profiles/local"), ()),
        (("paper", "tables"), (), runs.Run(("config.yaml",), "profiles/local"), ("tables",)),
        (("demo",), (), runs.Run(("config/demo.yaml",), "profiles/demo"), ()),
        (("config/demo.yaml",), (), runs.Run(("config/demo.yaml",), "profiles/demo"), ()),
        (("birds",), (), runs.Run(("config/birds.yaml",), "profiles/local"), ()),
        (("birds-trial",), (), runs.Run(("config/birds-trial.yaml",), "profiles/demo"), ()),
        (("tables",), ("config/birds.yaml",), runs.Run(("config/birds.yaml",), "profiles/local"), ("tables",)),
        (
            (),
            ("config.yaml", "config/birds.yaml"),
            runs.Run(("config.yaml", "config/birds.yaml"), "profiles/local"),
            (),
        ),
        (("birds",), ("more.yaml",), runs.Run(("config/birds.yaml", "more.yaml"), "profiles/local"), ()),
    ],
)
def test_a_run_is_named_by_its_configuration(clone, words, configfiles, expected, targets):
    assert runs.find(words, configfiles, None) == (expected, targets)


def test_what_is_no_run_is_refused_with_those_that_are_there(clone, tmp_path_factory, monkeypatch):
    with pytest.raises(UserError, match=r"brids: no run of this name.*paper, demo, birds") as error:
        runs.find(("brids",), (), None)
    assert "new-dataset brids" in str(error.value)
    with pytest.raises(UserError, match=r"gone\.yaml: no such configuration"):
        runs.find((), ("gone.yaml",), None)
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    with pytest.raises(UserError, match=f"go to a clone first, such as `cd {ROOT}`"):
        runs.find(("demo",), (), None)


def test_slurm_is_chosen_where_its_profile_was_edited_and_it_answers(clone, monkeypatch):
    def profile():
        return runs.find(("birds",), (), None)[0].profile

    monkeypatch.setattr(runs, "slurm_answers", lambda: True)
    assert profile() == "profiles/local"
    file = clone / "profiles/slurm/config.yaml"
    text = file.read_text()
    file.write_text(text + "\n# a comment\n")
    assert profile() == "profiles/local"
    file.write_text(text.replace("slurm_partition: cpu", "slurm_partition: short"))
    assert profile() == "profiles/slurm"
    assert runs.find(("demo",), (), None)[0].profile == "profiles/demo"
    assert runs.find(("birds",), (), "profiles/local")[0].profile == "profiles/local"
    monkeypatch.setattr(runs, "slurm_answers", lambda: False)
    assert profile() == "profiles/local"


def test_the_digest_of_slurm_s_profile_is_that_of_the_file():
    values = yaml.safe_load((ROOT / "profiles/slurm/config.yaml").read_text())
    assert digest({key: values.get(key) for key in ("default-resources", "set-resources")}) == runs.SHIPPED


@pytest.mark.parametrize(
    ("words", "targets", "configfile"),
    [
        (["run", "birds"], set(), ["config/birds.yaml"]),
        (["run", "birds", "tables", "figures"], {"tables", "figures"}, ["config/birds.yaml"]),
        (["run", "--configfile", "config.yaml", "--configfile", "config/birds.yaml", "tables"], {"tables"}, None),
        (["run", "paper", "results/tables/table1.csv"], {"results/tables/table1.csv"}, None),
        (["run", "birds", "--", "--dry-run", "--cores", "3"], set(), ["config/birds.yaml"]),
        (["export", "birds", "dreambooth", "--bias", "0.999"], None, ["config/birds.yaml"]),
    ],
)
def test_run_prints_snakemake_s_command_and_becomes_it(clone, executed, words, targets, configfile):
    done = call(*words)
    assert done.exit_code == 0, done.output
    (command,) = executed
    assert command[:3] == [sys.executable, "-m", "snakemake"]
    shown = done.output.strip().splitlines()[-1]
    assert shlex.split(shown)[2:] == command[3:]
    # as Snakemake reads it: no target is taken for one more file
    _, options = parse_args(command[3:])
    if targets is not None:
        assert set(options.targets) == targets
    if configfile is not None:
        assert [str(file) for file in options.configfile] == [str(clone / file) for file in configfile] or [
            str(file) for file in options.configfile
        ] == configfile
    assert options.dryrun == ("--dry-run" in words)


@pytest.mark.parametrize(
    "words",
    [
        ["all"],
        ["check_data", "tabulate", "results/tabels.csv", "table.csv", "Snakefile", "config"],
        ["tables", "--until", "nothing", "--config", "seeds=[0, 1]", 'swap={"a": 1}', "-n", "--config", "a_b=1"],
    ],
)
def test_rules_files_and_what_belongs_to_an_option_are_no_typing_errors(clone, words):
    run, _ = runs.find(("birds",), (), None)
    assert run.arguments(*words)[2:-2] == words


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["tabels"], r"^tabels: no target of this name; the nearest: tables$"),
        (["tables", "check-data"], r"^check-data: .*the nearest: check_data, fetch_data$"),
        (["birds"], r"^birds: .*; there are all, check_data, .*audits, and files$"),
        (["--config", "seeds=[0]", "tables"], r"^--config tables: not of the form KEY=VALUE\. Targets come before"),
        (["--config", "finetune.steps=3"], r"^--config finetune\.steps=3: not of the form KEY=VALUE"),
    ],
)
def test_what_snakemake_has_a_traceback_or_a_riddle_for_is_refused(clone, words, message):
    run, _ = runs.find(("birds",), (), None)
    with pytest.raises(UserError, match=message):
        run.arguments(*words)


def test_a_file_behind_a_name_overlays_single_keys(clone):
    (clone / "more.yaml").write_text("finetune: {steps: 3}\n")
    run, _ = runs.find(("birds",), ("more.yaml",), None)
    own, base = (runs.configuration_of(one) for one in (run, runs.Run(("config/birds.yaml",), "")))
    finetune = own.finetune.model_copy(update={"steps": base.finetune.steps})
    assert (own.finetune.steps, own.model_copy(update={"finetune": finetune})) == (3, base)


def test_the_demo_and_trials_have_a_warm_server(clone, executed):
    for name in ("demo", "birds-trial"):
        assert call("run", name).exit_code == 0
    assert all("snakemake" not in command[2] and command[4:6] == ["-m", "snakemake"] for command in executed)
    # the demo's profile names its configuration already
    assert "--configfile" not in executed[0]
    assert executed[1][-2:] == ["--configfile", "config/birds-trial.yaml"]


def test_what_cannot_be_exported_is_refused_by_what_the_run_has(clone):
    run = runs.Run(("config/birds.yaml",), "profiles/local")
    assert runs.export_target(run, "erm", None, None) == "results/demo/waterdigits/original/erm/model/README.md"
    for arguments, words in (
        (("ermine", None, None), "METHOD ermine: not in config/birds.yaml, which has erm,"),
        (("erm", "cats", None), "--dataset cats: not in .*, which has waterdigits"),
        (("erm", None, "0.5"), "--bias 0.5: not in .*, which has original, 0.999"),
    ):
        with pytest.raises(UserError, match=words):
            runs.export_target(run, *arguments)
    with pytest.raises(UserError, match="several data sets: choose --dataset of waterbirds, celeba, utkface"):
        runs.export_target(runs.Run(("config.yaml",), "profiles/local"), "erm", None, None)


def test_every_command_has_help_that_fits_a_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    shown = call("--help").output
    context = click.Context(app.app)
    for name in app.app.list_commands(context):
        (line,) = [line for line in shown.splitlines() if line.split()[:1] == [name]]
        assert not line.endswith("..."), line
        own = call(name, "--help")
        assert own.exit_code == 0
        assert own.output.lower().startswith("usage: fairdream")
    assert max(map(len, shown.splitlines())) <= 100
    # the example stands line by line
    assert "\n    fairdream audit birds " in shown
    assert "\b" not in shown
    assert "\\b" not in shown


def test_the_shell_completes_commands_and_runs(clone):
    def complete(words, number):
        variables = os.environ | {
            "_FAIRDREAM_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(number),
            "PYTHONPATH": str(ROOT / "src"),
        }
        command = [sys.executable, "-c", "from fairdream.cli.app import main; main()"]
        done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=60, check=False)
        return [line.partition(",")[2] for line in done.stdout.splitlines()]

    assert complete("fairdream ex", 1) == ["export", "export-onnx"]
    assert complete("fairdream plan bi", 2) == ["birds", "birds-trial"]
    assert "--configfile" in complete("fairdream run --", 2)


def test_help_is_quick():
    """Half a second of CPU: nothing heavy is imported for it."""
    code = "import sys; sys.argv = ['fairdream', '--help']; from fairdream.cli.app import main\ntry: main()\nfinally: "
    code += (
        "print(sum(__import__('os').times()[:2]), [m for m in sys.modules if m in ('torch', 'snakemake', 'pandas')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    seconds, heavy = done.stdout.splitlines()[-1].split(" ", 1)
    assert heavy == "[]"
    assert float(seconds) < 0.5
