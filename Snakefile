# FairDream: from a biased image data set to a fair classifier. README.md says what to run and what to edit.
from snakemake.utils import min_version

min_version("9.27")

# A configuration given on the command line or by a profile replaces the paper's instead of mixing with it.
if not workflow.config_settings.configfiles:

    configfile: "config.yaml"


include: "rules/common.smk"


# For `--software-deployment-method apptainer` alone; docs/cluster.md says how the image is built.
container: os.path.relpath(ROOT / "envs/fairdream.sif")


pathvars:
    results=CONFIG.results,
    logs=f"{CONFIG.results}/logs",
    benchmarks=f"{CONFIG.results}/benchmarks",


include: "rules/data.smk"
include: "rules/subjects.smk"
include: "rules/finetune.smk"
include: "rules/generate.smk"
include: "rules/select.smk"
include: "rules/classify.smk"
include: "rules/tables.smk"
include: "rules/report.smk"
include: "rules/cards.smk"
include: "rules/audits.smk"
include: "rules/targets.smk"
include: "rules/run.smk"


# Seconds of work each: a cluster job would cost more than it does. By the names that a module may have given them.
LOCAL_RULES = """all figures audit_data audit audit_page audits distinct fetch_dataset fetch_data fetch_model
    waterdigits split hold_back centroids select evaluate export check_data tables tabulate table2 cost ablate
    uncertainty contact_sheet compare clusters scores bias_curves cost_curve page hours provenance training_curves
    report_parts adapters_card images_card infer_attributes inference_report every_image
""".split()
workflow.localrules(*map(workflow.modifier.modify_rulename, LOCAL_RULES))


# Here, because Snakemake forgets the default target of a file that is included.
rule all:
    default_target: True
    input:
        "<results>/tables/table1.csv",


onstart:
    begin()


onsuccess:
    print(closing_words(CONFIG.results))
