# What the report has beside the tables and figures: pages, training curves, and the record of the run.


report: "../workflow/report/workflow.rst"


rule page:
    input:
        markdown="<results>/tables/{table}.md",
    output:
        html=report(
            "<results>/tables/{table}.html",
            caption="../workflow/report/page.rst",
            category=page_category,
            subcategory=page_subcategory,
            labels=page_label,
        ),
    log:
        "<logs>/page/{table}.log",
    benchmark:
        "<benchmarks>/page/{table}.jsonl"
    conda:
        "../envs/classifier.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1_000 * attempt,
        runtime=10,
    params:
        cfg=section("page"),
        code=code("page.py"),
    message:
        "Page of {wildcards.table}"
    script:
        "../workflow/scripts/page.py"


rule hours:
    input:
        table="<results>/tables/table1.csv",
    output:
        markdown="<results>/tables/hours.md",
    log:
        "<logs>/tables/hours.log",
    benchmark:
        "<benchmarks>/tables/hours.jsonl"
    conda:
        "../envs/classifier.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1_000 * attempt,
        runtime=10,
    params:
        cfg=section("benchmarks"),
        code=code("hours.py"),
    message:
        "Summing up the hours of the jobs"
    script:
        "../workflow/scripts/hours.py"


rule provenance:
    input:
        table="<results>/tables/table1.csv",
        diffusion=model("diffusion"),
        clip=model("clip"),
        encoder=model("encoder"),
    output:
        configuration="<results>/tables/configuration.md",
        versions="<results>/tables/versions.md",
    log:
        "<logs>/tables/provenance.log",
    benchmark:
        "<benchmarks>/tables/provenance.jsonl"
    conda:
        "../envs/classifier.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1_000 * attempt,
        runtime=10,
    params:
        cfg=section("provenance"),
        code=code("provenance.py"),
    message:
        "Recording configuration and versions"
    script:
        "../workflow/scripts/provenance.py"


rule training_curves:
    input:
        histories=planned(job_inputs.histories),
    output:
        figure=report(
            "<results>/figures/training-{dataset}-{bias}-{method}.png",
            caption="../workflow/report/training_curves.rst",
            category="Training curves",
            subcategory=of_run,
            labels=label("Training curves"),
        ),
    log:
        "<logs>/figures/training-{dataset}-{bias}-{method}.log",
    benchmark:
        "<benchmarks>/figures/training-{dataset}-{bias}-{method}.jsonl"
    conda:
        "../envs/classifier.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2_000 * attempt,
        runtime=30,
    params:
        cfg=section("nothing"),
        code=code("training_curves.py"),
    message:
        "Training curves of {wildcards.method} ({wildcards.dataset}, bias {wildcards.bias})"
    script:
        "../workflow/scripts/training_curves.py"
