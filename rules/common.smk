# Every function of the workflow but the report's (shown.smk). Rules ask the plan (src/fairdream/planning/plan.py); nothing here
# branches on a method's name.
import math
import os
import sys
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

from snakemake.exceptions import WorkflowError

from fairdream.data import manifest
from fairdream.models import weights, model_files
from fairdream.planning import plan, preflight, stage_params
from fairdream.runtime import files, slurm_orphans, run_snapshot, repairs, slurm_submission
from fairdream.runtime.code_digest import code_digest
from fairdream.config.root import read_values, validate_config
from fairdream.errors import UserError
from fairdream.methods import METHODS, method_of
from fairdream.reporting.html_page import PAGES
from fairdream.planning.params import read_by


def checked_config():
    """Validate everything that can be found wrong before the first job."""
    # a job on another node goes by the configuration that its run began with, not by what the file says meanwhile
    try:
        values = None if workflow.is_main_process else run_snapshot.configuration()
        if values is None and not workflow.is_main_process:
            raise UserError(
                f"{run_snapshot.VARIABLE} was not handed down to this job, so it cannot know what its run began with: let "
                "the executor export the environment (sbatch does, unless SBATCH_EXPORT or a site's rule forbids it); "
                "and a workflow that uses FairDream as a module needs `onstart: fairdream.onstart()`, see docs/module.md"
            )
        # a module's configuration is what the outer workflow hands to it, whatever else stands in that one's files
        if workflow.is_main_process and not IS_MODULE:
            for file in workflow.configfiles:
                read_values(file)  # what Snakemake's own reading passes over, such as a key that stands twice
        where = "the module's config" if IS_MODULE else ", ".join(map(str, workflow.configfiles))
        own = validate_config(values or dict(config), where)
        plan.check_plan(own)
        run_snapshot.keep(own, alone=IS_MODULE)
        if workflow.is_main_process:
            preflight.check(own)
        return own
    except UserError as error:
        sys.exit(f"\n{error}\n")


CONFIG = checked_config()
repairs.make()
STORE = f"{CONFIG.results}/store"
# The demo's data set is made by a rule, where the configuration wants it.
DIGITS = CONFIG.datasets["waterdigits"].folder if "waterdigits" in CONFIG.datasets else f"{CONFIG.results}/waterdigits"


def check_datasets(to_read=None):
    """Name what is missing of the data sets that jobs are going to read; else of all that were never read."""
    missing = []
    for name in CONFIG.datasets if to_read is None else to_read:
        dataset = CONFIG.datasets[name]
        absent = [] if name == "waterdigits" else manifest.missing_data(dataset)
        # what was read from its folder before stands without it
        index = Path(CONFIG.results, name, "index.parquet")
        if absent and (to_read is not None or not manifest.was_read(index, dataset)):
            missing.append(f"  {name}: {', '.join(absent)} not found. Get it: {dataset.origin.strip()}")
        for own in dataset.splits:
            if Path(dataset.folder).is_dir() and not Path(dataset.folder, own.file).is_file():
                missing.append(f"  {name}: {dataset.folder}/{own.file}, its own split at {own.bias}, not found")
    if missing:
        raise UserError(
            "These data sets are missing:\n"
            + "\n".join(missing)
            + "\nPut each into the folder named (datasets.*.folder in the configuration), or remove it from the "
            "configuration.\nFor data of your own, name their configuration: --configfile=config/NAME.yaml.\n"
            "Without any data: `make demo` runs the whole workflow on embedded data."
        )


def model(role):
    return f"{CONFIG.models.folder}/{role}.json"


ROLES = ("diffusion", "clip", "encoder")
# Only where the user starts the run: jobs on other nodes parse this file again. And not beside a run that goes on, whose
# jobs may be reading the manifest: a dry run meanwhile must not make it newer than what they write.
if workflow.is_main_process and not any(Path(".snakemake/locks").glob("*")):
    try:
        for name, dataset in CONFIG.datasets.items():
            manifest.refresh(Path(CONFIG.results, name, "manifest.parquet"), dataset.reading())
        for role in ROLES:
            model_files.refresh(model(role), role)
    except UserError as error:
        sys.exit(f"\n{error}\n")


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


def section(stage):
    """Return params: what a job of this stage reads of the configuration, a function of its wildcards alone."""
    return lambda wildcards: read_by(CONFIG, stage, dict(wildcards))


def code(script):
    """Return params: a digest of the code that a script runs, see src/fairdream/runtime/code_digest.py."""
    return code_digest(ROOT / "workflow/scripts" / script, ROOT / "src/fairdream", ROOT / "requirements.lock")


def at(folder, path):
    return f"{CONFIG.results}/{folder}/{path}"


def tables_of(wildcards):
    """The demo's data set is made by a rule, any other must lie there before a run that needs it begins."""
    if workflow.is_main_process:
        try:
            check_datasets()
        except UserError as error:
            sys.exit(f"\n{error}\n")
    own = CONFIG.datasets[wildcards.dataset]
    return [f"{own.folder}/{table.file}" for table in own.tables]


def fetchable_data(wildcards):
    return [f"{CONFIG.results}/{name}/fetched.json" for name, own in CONFIG.datasets.items() if own.download]


def own_split(wildcards):
    """The user's own training set of this bias, where the data set has one."""
    own = CONFIG.datasets[wildcards.dataset].split_at(wildcards.bias)
    return {"own": f"{CONFIG.datasets[wildcards.dataset].folder}/{own.file}"} if own else {}


def embeddings_if_clustered(wildcards):
    if method_of(wildcards.method).subjects != "cluster":
        return {}
    return {"embeddings": at(wildcards.dataset, "embeddings.safetensors")}


def subject_file(wildcards):
    """A member file is compared by content, because it stands behind a checkpoint and is small."""
    index = checkpoints.subjects.get(**{k: wildcards[k] for k in ("dataset", "bias", "method")}).output.index
    return str(Path(index).parent / f"{wildcards.subject}.json")


def adapter_if_any(wildcards):
    if method_of(wildcards.method).subjects is None:
        return {}
    own = plan.adapter_method(wildcards.method)
    folder = f"{wildcards.dataset}/{wildcards.bias}/{own}/adapters/{wildcards.subject}"
    return {"adapter": at(folder, "pytorch_lora_weights.safetensors")}


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


def adapters_to_train():
    """What the adapters of this run are trained with; behind the checkpoint, of those that may be."""
    found = {}
    for job in workflow.dag.needrun_jobs():
        if job.rule.name == rules.finetune.rule.name:
            names = job.wildcards_dict
            method = found.setdefault(f"{names['dataset']}/{names['bias']}/{names['method']}", {})
            method[names["subject"]] = read_by(CONFIG, "finetune", dict(names))
    return found


def shards_of(kind):
    """Return an input function: the method's shards of images or scores."""

    def paths(wildcards):
        bias = plan.image_bias(wildcards.method, wildcards.bias)
        return [
            at(f"{wildcards.dataset}/{bias}/{wildcards.method}/{kind}", f"{s.group}/{s.subject}/{s.name}.parquet")
            for s in plan.shards(CONFIG, wildcards.dataset, wildcards.bias, wildcards.method)
        ]

    return paths


def stage1_images(wildcards):
    """The selection of synthetic images, or the real training set."""
    folder = f"{wildcards.dataset}/{wildcards.bias}"
    if method_of(wildcards.method).synthetic:
        return {"selected": at(folder, f"{wildcards.method}/selected/{wildcards.selection}.parquet")}
    return {"split": at(folder, "split.parquet")}


def scores_if_needed(wildcards):
    """A selection by chance or colour, or of all images, needs no CLIP."""
    if stage_params.select(CONFIG, **wildcards).get("alpha") is None:
        return {}
    centroids = at(f"{wildcards.dataset}/{wildcards.bias}", "centroids.safetensors")
    return {"scores": shards_of("scores")(wildcards), "centroids": centroids}


def metrics_of(rows, biases=None):
    """Return the metrics of rows at all biases, or some, where they exist."""
    return [
        f"{CONFIG.results}/{own.path(dataset, bias, seed)}.metrics.json"
        for dataset in CONFIG.datasets
        for bias in biases or plan.biases(CONFIG)
        for row in rows
        if plan.exists_at(CONFIG, dataset, bias, row)
        for own in plan.classifiers(CONFIG, row)
        for seed in CONFIG.seeds
    ]


def classifiers_of_row(wildcards):
    """A row's classifiers, one a seed, of the first generation of images."""
    own = plan.classifiers(CONFIG, wildcards.method)[0]
    paths = [f"{CONFIG.results}/{own.path(wildcards.dataset, wildcards.bias, seed)}" for seed in CONFIG.seeds]
    return {"weights": [f"{p}.safetensors" for p in paths], "metrics": [f"{p}.metrics.json" for p in paths]}


def metrics_of_ablations(wildcards):
    return [
        f"{CONFIG.results}/{own.path(dataset, bias, seed)}.metrics.json"
        for dataset in CONFIG.datasets
        for bias in map(str, CONFIG.ablations.biases)
        for own in dict.fromkeys(setting.classifier for setting in plan.ablations(CONFIG, dataset, bias))
        for seed in CONFIG.seeds
    ]


# Table 2: Group-DRO alone, and after stage 1 on synthetic images.
TABLE2 = ("gdro", "clustered_dreambooth_gdro")


def selected_of(wildcards):
    selection = plan.selection_of(CONFIG, method_of(wildcards.method).selection)
    return at(f"{wildcards.dataset}/{wildcards.bias}/{wildcards.method}/selected", f"{selection}.parquet")


def selections_to_compare(wildcards):
    folder = f"{wildcards.dataset}/{wildcards.bias}"
    return [
        at(folder, f"{method}/selected/{plan.selection_of(CONFIG, 'clip')}.parquet")
        for method in plan.compared_methods(CONFIG)
    ]


def audited_images():
    """Return data set, bias and method of all images that an audit looks at."""
    return [
        (dataset, bias, method)
        for dataset in CONFIG.datasets
        for bias in plan.biases(CONFIG)
        for method in plan.methods_at(CONFIG, dataset, bias)
        if method_of(method).synthetic and not method_of(method).stage1_of
    ]


def all_audits(wildcards):
    names = [f"{dataset}/audit.md" for dataset in CONFIG.datasets]
    names += [f"{dataset}/{bias}/{method}/quality.csv" for dataset, bias, method in audited_images()]
    return [f"{CONFIG.results}/{name}" for name in names]


def all_figures(wildcards):
    names = ["bias", "cost"]
    for dataset in CONFIG.datasets:
        for bias in plan.biases(CONFIG):
            here = f"{dataset}-{bias}"
            for method in plan.methods_at(CONFIG, dataset, bias):
                row = method_of(method)
                if row.synthetic and not row.stage1_of:
                    names.append(f"{here}-{method}")
                    names += [f"scores-{here}-{method}"] if row.selection == "clip" else []
                if row.subjects == "cluster" and not row.adapters_of and not row.stage1_of:
                    names.append(f"clusters-{here}-{method}")
            if plan.compared_methods(CONFIG):
                names += [f"compare-{here}-{group}" for group in plan.groups(CONFIG, dataset)]
    return [f"{CONFIG.results}/figures/{name}.png" for name in names]


def all_tables(wildcards):
    names = ["table1", "table3", "ablations", "uncertainty"] + (["table2"] if plan.severe_biases(CONFIG) else [])
    return [f"{CONFIG.results}/tables/{name}.csv" for name in names]


def closing_words():
    """What a user wants to know at the end: the table, and where things are."""
    table = Path(CONFIG.results, "tables/table1.md")
    if not table.is_file():
        return ""
    return (
        f"\n{table.read_text()}\n"
        f"Tables:   {CONFIG.results}/tables/table1.csv, .md, .tex\n"
        f"Images:   {CONFIG.results}/DATASET/BIAS/METHOD/images/ (Parquet)\n"
        f"Adapters: {CONFIG.results}/DATASET/BIAS/METHOD/adapters/ (diffusers' format)\n"
        f"Contact sheets: snakemake … figures\n"
        f"All in one file: fairdream report RUN\n"
    )


def to_read():
    """Return the data sets that jobs of this run are going to read."""
    readers = (rules.manifest.rule.name, rules.index.rule.name)
    return sorted({job.wildcards.dataset for job in workflow.dag.needrun_jobs() if job.rule.name in readers})


def models_to_load():
    """Return the roles whose model jobs of this run read as it lies there, not fetched by this run."""
    jobs = list(workflow.dag.needrun_jobs())
    read, made = ({Path(file) for job in jobs for file in getattr(job, kind)} for kind in ("input", "output"))
    return [role for role in ROLES if Path(model(role)) in read - made]


def begin():
    """Before the first job of a run, not in a dry run: meet what a killed run left, write down what this one goes by."""
    try:
        # Snakemake removes what a job made before as it starts it: one that cannot read its data must not start
        check_datasets(to_read())
        run_snapshot.check_installed(ROOT / "requirements.lock")
        files.check_locks(Path(STORE))
        on_slurm = workflow.executor_plugin is not None and workflow.executor_plugin.name == "slurm"
        if on_slurm:
            slurm_submission.check(workflow.dag.needrun_jobs())
        if slurm_orphans.check(os.getcwd(), expected=on_slurm):
            # a job that was complete when this run was planned, and cancelled since, took its files along
            workflow.async_run(workflow.dag.postprocess())
            check_datasets(to_read())
        for role in models_to_load():
            weights.check_files(model(role))
            model_files.check_asked_for(model(role), getattr(CONFIG.models, role).model_dump())
    except UserError as error:
        raise WorkflowError(f"\n{error}")
    scripts = sorted((ROOT / "workflow/scripts").glob("*.py"))
    package, lock = ROOT / "src/fairdream", ROOT / "requirements.lock"
    run_snapshot.record(Path(STORE, "plans"), dict(config), scripts, package, lock, adapters_to_train())
