# What can be asked for by name beside Table 1 (Snakefile). What each one has is in src/fairdream/planning/targets.py.


rule check_data:
    input:
        expand("<results>/{dataset}/index.parquet", dataset=CONFIG.datasets),


# The one target that fetches data: no other run begins a download of gigabytes unasked.
rule fetch_data:
    input:
        planned(targets.fetched_datasets),


# The attribute of each data set, by words where there are any, and by XRM: what `fairdream infer-attributes` asks for.
rule infer_attributes:
    input:
        planned(targets.inferred),


rule tables:
    input:
        planned(targets.tables),


rule figures:
    input:
        planned(targets.figures),


# What `make report` shows: nothing here asks for a GPU once Table 1 is there.
rule report_parts:
    input:
        pages=planned(targets.report_pages),
        figures=planned(targets.figures),
        curves=planned(targets.training_curves),
        audits=planned(targets.report_audits),


# Is my data biased: of each data set, before any job with a GPU.
rule audit_data:
    input:
        expand("<results>/{dataset}/audit.md", dataset=CONFIG.datasets),


# And are the images good: of each method, with near copies of training images.
rule audits:
    input:
        planned(targets.audits),
