# What all rules have in common: where the library lies, the configuration, and how rules ask the plan for their inputs and
# params (src/fairdream/planning). What can do without Snakemake's own objects is there, and tested there.
import math
import os
import sys
from contextlib import contextmanager
from pathlib import Path

# Where FairDream lies: as a module of another workflow that is not where the main Snakefile is.
ROOT = Path(workflow.current_basedir.get_path_or_uri(secret_free=True)).parent
if not (ROOT / "src/fairdream").is_dir():
    sys.exit(f"\n{ROOT}: no src/fairdream beside the rules. As a module, FairDream needs a clone on this machine.\n")
IS_MODULE = not workflow.modifier.is_main_snakefile()
# The one way in which scripts find the library, in a virtual environment, a conda environment, a container and on a
# cluster's node alike: each of them parses this file and hands the variable down.
sys.path.insert(0, str(ROOT / "src"))
python_path = [str(ROOT / "src"), *filter(None, os.getenv("PYTHONPATH", "").split(os.pathsep))]
os.environ.update(PYTHONPATH=os.pathsep.join(dict.fromkeys(python_path)))

from snakemake.utils import update_config

from fairdream.config import command_line
from fairdream.config.root import Config, read_values, validate_config
from fairdream.data import manifest
from fairdream.errors import UserError
from fairdream.methods import METHODS
from fairdream.models import model_files
from fairdream.planning import job_inputs, missing_datasets, plan, preflight, targets
from fairdream.planning.params import read_by
from fairdream.planning.report_labels import label, of_run, page_category, page_label, page_subcategory
from fairdream.planning.wildcards import ask
from fairdream.reporting.html_page import PAGES
from fairdream.runtime import locks, repairs, run_snapshot
from fairdream.runtime.code_digest import code_digest


@contextmanager
def refusals():
    """A user's mistake ends the run with its sentence alone."""
    try:
        yield
    except UserError as error:
        sys.exit(f"\n{error}\n")


def checked_config():
    """Validate everything that can be found wrong before the first job."""
    # a module's configuration is what the outer workflow hands to it, whatever else stands in that one's files
    files = [] if IS_MODULE else workflow.configfiles
    where = "the module's config" if IS_MODULE else ", ".join(map(str, files))
    if not workflow.is_main_process:
        # a job on another node goes by the configuration that its run began with, not by what the file says meanwhile
        return validate_config(run_snapshot.configuration(), where)
    for file in files:
        read_values(file)  # what Snakemake's own reading passes over, such as a key that stands twice
    given = {} if IS_MODULE else workflow.config_settings.config
    update_config(config, command_line.read(Config, config, given))
    return validate_config(dict(config), where, given)


with refusals():
    CONFIG = checked_config()
    plan.check_plan(CONFIG)
    run_snapshot.keep(CONFIG, alone=IS_MODULE)
    if workflow.is_main_process:
        preflight.check(CONFIG)
repairs.make()
STORE = f"{CONFIG.results}/store"
# The demo's data set is made by a rule, where the configuration wants it.
DIGITS = CONFIG.datasets["waterdigits"].folder if "waterdigits" in CONFIG.datasets else f"{CONFIG.results}/waterdigits"
ROLES = ("diffusion", "clip", "encoder")


def model(role):
    return f"{CONFIG.models.folder}/{role}.json"


def refresh_manifests():
    """Look at the content of all data sets and models, which Snakemake itself does not see."""
    # Not beside a run whose jobs may be reading them: a dry run meanwhile must not make them newer than what they write.
    if not locks.are_locked(CONFIG.results):
        for name, dataset in CONFIG.datasets.items():
            manifest.refresh(Path(CONFIG.results, name, "manifest.parquet"), dataset.reading())
    if not locks.are_locked(CONFIG.models.folder):
        for role in ROLES:
            model_files.refresh(model(role), role)


# Only where the user starts the run: jobs on other nodes parse this file again.
if workflow.is_main_process:
    with refusals():
        refresh_manifests()


wildcard_constraints:
    dataset="|".join(CONFIG.datasets),
    bias="[^/]+",
    method=f"({'|'.join(METHODS)})(_k[1-9][0-9]*)?(_g[1-9][0-9]*)?",
    group="[^/-]+-[^/-]+",
    subject="[^/]+",
    shard=r"\d+-\d+",
    selection="[a-z0-9_]+",
    loss="[a-z0-9_]+",
    recipe=r"(?!stage1\.)[a-z0-9_]+",  # stage1.safetensors is stage 1's
    seed=r"\d+",
    table="|".join(PAGES),
    way="words|xrm",


def section(stage):
    """Return params: what a job of this stage reads of the configuration, a function of its wildcards alone."""
    return lambda wildcards: read_by(CONFIG, stage, dict(wildcards))


def code(script):
    """Return params: a digest of the code that a script runs, see src/fairdream/runtime/code_digest.py."""
    return code_digest(ROOT / "workflow/scripts" / script, ROOT / "src/fairdream", ROOT / "requirements.lock")


def planned(function):
    """Return an input function: the paths that the plan's function names for a job's wildcards."""

    def paths(wildcards):
        with refusals():
            return ask(function, CONFIG, dict(wildcards))

    return paths


def tables_of(wildcards):
    """The demo's data set is made by a rule, any other must lie there before a run that needs it begins."""
    if workflow.is_main_process:
        with refusals():
            missing_datasets.check(CONFIG)
    return job_inputs.dataset_tables(CONFIG, wildcards.dataset)


def subject_file(wildcards):
    """A member file is compared by content, because it stands behind a checkpoint and is small."""
    index = checkpoints.subjects.get(**{k: wildcards[k] for k in ("dataset", "bias", "method")}).output.index
    return str(Path(index).parent / f"{wildcards.subject}.json")


def jobs_here(wildcards):
    """The subjects of a method that this allocation was asked for; a run on one machine is one allocation for all."""
    if workflow.is_main_process:
        return "all"
    named = [
        job.wildcards_dict for job in workflow.dag_settings.target_jobs if job.rulename == rules.finetune.rule.name
    ]
    here = run_snapshot.allocation(f"{j['dataset']}/{j['bias']}/{j['method']}/{j['subject']}" for j in named)
    method = f"{wildcards.dataset}/{wildcards.bias}/{wildcards.method}/"
    return ",".join(sorted(job.removeprefix(method) for job in here if job.startswith(method)))


def minutes_of_an_adapter(wildcards, attempt):
    """A job's time limit. Jobs that run in one allocation train together, and Snakemake adds their limits up."""
    group = workflow.group_settings.overwrite_groups.get(rules.finetune.rule.name)
    size = workflow.group_settings.group_components.get(group, 1)
    return math.ceil((40 + 20 * size) / size) * attempt
