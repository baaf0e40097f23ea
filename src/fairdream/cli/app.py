"""The command `fairdream`. What a command does is in a module of its own, which is imported when the command is called.

So `fairdream --help` and the shell's completion are answered in a fraction of a second.
"""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fairdream import __version__
from fairdream.cli.arguments import InOrder, complete_runs, of_a_run
from fairdream.errors import UserError

if TYPE_CHECKING:
    from fairdream.cli.runs import Run


@click.group(
    "fairdream",
    cls=InOrder,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="RUN is the name of a run: `demo`, `paper`, or NAME for config/NAME.yaml. Without one it is the paper's.",
)
@click.version_option(__version__, prog_name="fairdream")
def app() -> None:
    """Turn a biased image data set into a fairer classifier.

    A first run on data of your own:

    \b
      fairdream new-dataset birds --folder birds.zip --label species --attribute place
      fairdream audit birds      # how biased the data are, and which method fits
      fairdream trial birds      # does every stage read your data? tiny models, minutes on a CPU
      fairdream plan birds       # every job, its hours and disk space, before they are spent
      fairdream run birds
    """  # noqa: D301 - click reads the character


def _run(words: tuple[str, ...], configfiles: tuple[str, ...], profile: str | None) -> Run:
    """Return the run that is named; refuse words behind it."""
    from fairdream.cli import runs

    run, rest = runs.find(words, configfiles, profile)
    if rest:
        raise click.UsageError(f"{' '.join(rest)}: more than the name of a run")
    return run


@app.command("new-dataset")
@click.argument("name")
@click.option("--folder", type=click.Path(path_type=Path), help="With the images, or an archive; else data/NAME.")
@click.option("--table", help="File in the folder, or several by commas; by default the only one there.")
@click.option("--images", help="Folder that the table's paths start from, where several folders have them.")
@click.option("--image", "path", metavar="COLUMN", help="Column of the images.")
@click.option("--label", metavar="COLUMN", help="Column of the classes.")
@click.option("--attribute", metavar="COLUMN", help="Column of the attribute; `unknown` where there is none.")
@click.option("--attribute-words", multiple=True, metavar="WORDS", help="Without a column, of each value: `on land`.")
@click.option("--split", metavar="COLUMN", help="Column of the split; `none` for a seeded split.")
@click.option("--split-values", metavar="PAIRS", help="What its values mean: train=0,validation=1,test=2.")
@click.option("--missing", type=click.Choice(["drop", "group"]), help="What to do with images without an attribute.")
@click.option("--validation", "share_validation", type=float, help="Share of each group, without such a split: 0.1.")
@click.option("--test", "share_test", type=float, help="The same for the test: 0.2.")
@click.option("--base", type=click.Path(path_type=Path), default="config.yaml", help="What the rest is taken from.")
@click.option("--force", is_flag=True, help="Rewrite config/NAME.yaml, and keep the old one beside it.")
def new_dataset(**options: Any) -> None:
    """Write and check a configuration for your own images.

    It looks at a folder or archive and its table, prints the groups and what it assumed, and writes config/NAME.yaml,
    which is yours to edit. Give an option only where the command asks for it.
    """
    from fairdream.cli.new_dataset.create import create
    from fairdream.cli.new_dataset.options import Options

    create(Options(**options))


@app.command("infer-attributes")
@click.option("--by", "way", type=click.Choice(["words", "xrm"]), help="By default words, if any are known; else xrm.")
@click.option("--words", "stated", multiple=True, metavar="WORDS", help="Of each value: `land=on land,sand`.")
@click.option("--dataset", help="Needed if the run has several.")
@of_a_run(targets=False)
def infer_attributes(words: tuple[str, ...], configfiles: tuple[str, ...], profile: str | None, **options: Any) -> None:
    """Infer the attribute of images that have a class alone.

    words: CLIP tells which of the attribute's words an image is nearest to. xrm: class labels alone tell which images
    conflict with the shortcut. It writes a table, and config/RUN-words.yaml or config/RUN-xrm.yaml that goes by it. A
    true attribute that a table has is compared with, and not used.
    """
    from fairdream.cli.infer_attributes import show

    show(_run(words, configfiles, profile), **options)


@app.command()
@of_a_run(targets=False)
def audit(words: tuple[str, ...], configfiles: tuple[str, ...], profile: str | None) -> None:
    """Show how biased the data are, and which method fits."""
    from fairdream.cli.audit import show

    show(_run(words, configfiles, profile).arguments())


@app.command(context_settings={"ignore_unknown_options": True})
@click.argument("name", metavar="RUN", shell_complete=complete_runs)
@click.argument("words", nargs=-1, metavar="[TARGET]...")
def trial(name: str, words: tuple[str, ...]) -> None:
    """Check that every stage reads your data.

    It runs the stages on tiny models, minutes on a CPU: ignore its accuracies. RUN is NAME for config/NAME.yaml; a
    TARGET and what is behind `--` are as for `fairdream run`.
    """
    from fairdream.cli import runs
    from fairdream.cli.new_dataset.trial import write_trial

    own, _ = runs.find((name,), (), None)
    path = write_trial(Path(own.configfiles[0]))
    run, _ = runs.find((str(path),), (), None)
    click.echo(f"{path} was written, of the data sets in {own.configfiles[0]}. When it has run, see:")
    click.echo(f"  fairdream report {run.words}    # all of it on one page")
    click.echo(f"  fairdream export {run.words} dreambooth    # its classifier, for `fairdream predict`")
    _execute(run, words)


@app.command(context_settings={"ignore_unknown_options": True})
@of_a_run(targets=True)
def plan(words: tuple[str, ...], configfiles: tuple[str, ...], profile: str | None) -> None:
    """Show what a run would do, why, and what it takes.

    A TARGET and what is behind `--` are as for `fairdream run`.
    """
    from fairdream.cli import runs
    from fairdream.cli.plan import show

    found, targets = runs.find(words, configfiles, profile)
    show(found.arguments(*targets))


@app.command(context_settings={"ignore_unknown_options": True})
@of_a_run(targets=True)
def run(words: tuple[str, ...], configfiles: tuple[str, ...], profile: str | None) -> None:
    """Run or resume a run.

    It goes up to Table 1, or to the TARGETs named. RUN is `demo`, or NAME for config/NAME.yaml; without one it is
    config.yaml: the paper's, 204 adapters and up to 480,000 images. See `fairdream plan RUN` first.

    A TARGET is a file, or one of: tables, figures, audits, audit_data, check_data, fetch_data, infer_attributes. What
    is behind `--` goes to Snakemake: `fairdream run birds -- --dry-run`.
    """
    from fairdream.cli import runs

    found, rest = runs.find(words, configfiles, profile)
    _execute(found, rest)


def _execute(run: Run, words: tuple[str, ...]) -> None:
    """Print Snakemake's command and become it, so that it is the one that signals reach."""
    from fairdream.cli import runs

    if run.profile == "profiles/local" and runs.slurm_answers():
        click.echo("SLURM answers, but profiles/slurm is as it came: edit its first block, or say --profile.", err=True)
    arguments = run.arguments(*words)
    click.echo(f"$ {'.venv/bin/snakemake' if sys.prefix != sys.base_prefix else 'snakemake'} {shlex.join(arguments)}")
    command = [sys.executable, "-m", "snakemake", *arguments]
    if run.is_small:
        command = [sys.executable, "-m", "fairdream.runtime.warm_server", *command]
    sys.stdout.flush()
    os.execv(command[0], command)


@app.command()
@of_a_run(targets=False)
def cost(words: tuple[str, ...], configfiles: tuple[str, ...], profile: str | None) -> None:
    """Show what the jobs of a run took."""
    from fairdream.cli import runs
    from fairdream.cli.cost import tell

    click.echo(tell(Path(runs.configuration_of(_run(words, configfiles, profile)).results)))


@app.command()
@click.option("--output", type=click.Path(path_type=Path), metavar="FILE", help="An .html or .zip file.")
@of_a_run(targets=False)
def report(words: tuple[str, ...], configfiles: tuple[str, ...], profile: str | None, output: Path | None) -> None:
    """Write the HTML report of a finished run."""
    from fairdream.cli.report import show

    show(_run(words, configfiles, profile), output)


@app.command()
@click.argument("name", metavar="RUN", shell_complete=complete_runs)
@click.argument("method")
@click.option("--dataset", help="Needed if the run has several.")
@click.option("--bias", help="The bias level it was trained at; by default the run's first.")
@click.option("--profile", type=click.Path(), metavar="FOLDER", help="Snakemake's profile, as for `fairdream run`.")
def export(name: str, method: str, dataset: str | None, bias: str | None, profile: str | None) -> None:
    """Export a classifier, with its model card.

    METHOD is a row of the run's Table 1, such as erm or dreambooth.
    """
    from fairdream.cli import runs

    found, _ = runs.find((name,), (), profile)
    _execute(found, (runs.export_target(found, method, dataset, bias),))


@app.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("images", nargs=-1, type=click.Path())
@click.option("--output", type=click.Path(), metavar="FILE", help="A CSV file; by default the terminal.")
@click.option("--table", type=click.Path(), metavar="FILE", help="CSV or Parquet with labels: prints group accuracies.")
@click.option("--image-column", default="path", show_default=True, help="The table's column of paths.")
@click.option("--label-column", default="label", show_default=True, help="The table's column of classes.")
@click.option("--attribute-column", help="The table's column of attributes, if it is not `attribute`.")
def predict(model: Path, images: tuple[str, ...], output: str | None, table: str | None, **columns: Any) -> int:
    """Classify images with an exported classifier.

    MODEL is an exported folder, or a classifier's .safetensors file; IMAGES are files, and folders that are searched.
    Without IMAGES, those that the table names are classified.
    """
    from fairdream.classification import predict as module
    from fairdream.classification.truth import Columns

    if not images and not table:
        raise click.UsageError("give images, folders of them, or a --table that names them")
    named = Columns(columns["image_column"], columns["label_column"], columns["attribute_column"])
    return module.main(str(model), list(images), output, table, named)


@app.command("export-onnx")
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--output", type=click.Path(path_type=Path), metavar="FILE", help="By default model.onnx in the folder.")
def export_onnx(model: Path, output: Path | None) -> None:
    """Convert an exported classifier to ONNX.

    Needs onnx and onnxscript, which `make setup` leaves out.
    """
    from fairdream.classification.export_onnx import to_onnx

    click.echo(to_onnx(model, output))


@app.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--split", type=click.Path(path_type=Path), metavar="FILE", help="CSV with path and split of each face.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the split, where none is given.")
def utkface(folder: Path, split: Path | None, seed: int) -> None:
    """Write UTKFace's table from its file names.

    FOLDER has the faces in images/.
    """
    from fairdream.data.utkface import write_metadata

    write_metadata(folder, split, seed)


@app.command()
def schema() -> None:
    """For maintainers: write config/schema.json."""
    from fairdream.cli.schema import write

    click.echo(write())


@app.command("config-reference")
def config_reference() -> None:
    """For maintainers: write docs/config.md."""
    from fairdream.cli.config_reference import write

    click.echo(write())


def main() -> int:
    """Run the command of this process and return its exit status; a user's mistake is one message, not a traceback."""
    try:
        return app.main(prog_name="fairdream", standalone_mode=False) or 0
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return 130
    except UserError as error:
        click.echo(str(error), err=True)
    except OSError as error:
        from fairdream.runtime.files import remedy

        click.echo(remedy(error) or str(error), err=True)
    return 1
