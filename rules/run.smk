# How a run begins and ends: what is looked at and written down before its first job, and its last words.
from snakemake.exceptions import WorkflowError

from fairdream.models import weights
from fairdream.planning.closing_words import closing_words
from fairdream.runtime import files, slurm_orphans, slurm_submission


def begin():
    """Before the first job of a run, not in a dry run: meet what a killed run left, write down what this one goes by."""
    try:
        # Snakemake removes what a job made before as it starts it: one that cannot read its data must not start
        missing_datasets.check(CONFIG, datasets_to_read())
        run_snapshot.check_installed(ROOT / "requirements.lock")
        files.check_locks(Path(STORE))
        meet_the_cluster()
        check_models()
    except UserError as error:
        raise WorkflowError(f"\n{error}")
    scripts = sorted((ROOT / "workflow/scripts").glob("*.py"))
    package, lock = ROOT / "src/fairdream", ROOT / "requirements.lock"
    run_snapshot.record(Path(STORE, "plans"), dict(config), scripts, package, lock, adapters_to_train())


def meet_the_cluster():
    """Refuse what SLURM would not start, and jobs of an earlier run that are alive."""
    on_slurm = workflow.executor_plugin is not None and workflow.executor_plugin.name == "slurm"
    if on_slurm:
        slurm_submission.check(workflow.dag.needrun_jobs())
    if slurm_orphans.check(os.getcwd(), expected=on_slurm):
        # a job that was complete when this run was planned, and cancelled since, took its files along
        workflow.async_run(workflow.dag.postprocess())
        missing_datasets.check(CONFIG, datasets_to_read())


def datasets_to_read():
    """Return the data sets that jobs of this run are going to read."""
    readers = (rules.manifest.rule.name, rules.index.rule.name)
    return sorted({job.wildcards.dataset for job in workflow.dag.needrun_jobs() if job.rule.name in readers})


def check_models():
    """Look at the models that jobs of this run read as they lie there, not fetched by this run."""
    jobs = list(workflow.dag.needrun_jobs())
    read, made = ({Path(file) for job in jobs for file in getattr(job, kind)} for kind in ("input", "output"))
    for role in ROLES:
        if Path(model(role)) in read - made:
            weights.check_files(model(role))
            model_files.check_asked_for(model(role), getattr(CONFIG.models, role).model_dump())


def adapters_to_train():
    """What the adapters of this run are trained with; behind the checkpoint, of those that may be."""
    found = {}
    for job in workflow.dag.needrun_jobs():
        if job.rule.name == rules.finetune.rule.name:
            names = job.wildcards_dict
            method = found.setdefault(f"{names['dataset']}/{names['bias']}/{names['method']}", {})
            method[names["subject"]] = read_by(CONFIG, "finetune", dict(names))
    return found
