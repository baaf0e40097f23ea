# The audits: of the training sets before any image is generated, and of the images once they are.


rule audit:
    input:
        splits=expand("<results>/{{dataset}}/{bias}/split.parquet", bias=plan.biases(CONFIG)),
    output:
        groups="<results>/{dataset}/audit.csv",
        association="<results>/{dataset}/audit.bias.csv",
        markdown="<results>/{dataset}/audit.md",
        figure=report(
            "<results>/figures/groups-{dataset}.png",
            caption="../workflow/report/groups.rst",
            category="Audits",
            subcategory="Training sets",
            labels=label("Audit", "Groups"),
        ),
    log:
        "<logs>/audit/{dataset}.log",
    benchmark:
        "<benchmarks>/audit/{dataset}.jsonl"
    conda:
        "../envs/classifier.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2_000 * attempt,
        runtime=10,
    params:
        cfg=section("audit"),
        code=code("audit.py"),
    message:
        "Auditing the training sets of {wildcards.dataset}"
    script:
        "../workflow/scripts/audit.py"


rule audit_page:
    input:
        markdown="<results>/{dataset}/audit.md",
    output:
        html=report(
            "<results>/{dataset}/audit.html",
            caption="../workflow/report/audit.rst",
            category="Audits",
            subcategory="Training sets",
            labels=label("Audit", "Is it biased?"),
        ),
    log:
        "<logs>/page/audit-{dataset}.log",
    benchmark:
        "<benchmarks>/page/audit-{dataset}.jsonl"
    conda:
        "../envs/classifier.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1_000 * attempt,
        runtime=10,
    params:
        cfg=section("audit_page"),
        code=code("page.py"),
    message:
        "Page of the audit of {wildcards.dataset}"
    script:
        "../workflow/scripts/page.py"


rule thumbnails:
    input:
        index="<results>/{dataset}/index.parquet",
    output:
        thumbnails="<results>/{dataset}/thumbnails.safetensors",
    log:
        "<logs>/thumbnails/{dataset}.log",
    benchmark:
        "<benchmarks>/thumbnails/{dataset}.jsonl"
    conda:
        "../envs/classifier.yaml"
    threads: 4
    resources:
        mem_mb=lambda wildcards, attempt: 4_000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        cfg=section("nothing"),
        code=code("thumbnails.py"),
    message:
        "Thumbnails of the training images of {wildcards.dataset}"
    script:
        "../workflow/scripts/thumbnails.py"


rule texts:
    input:
        model=model("clip"),
    output:
        texts="<results>/{dataset}/texts.safetensors",
    log:
        "<logs>/texts/{dataset}.log",
    benchmark:
        "<benchmarks>/texts/{dataset}.jsonl"
    conda:
        "../envs/diffusion.yaml"
    threads: 2
    resources:
        mem_mb=lambda wildcards, attempt: 8_000 * attempt,
        runtime=lambda wildcards, attempt: 20 * attempt,
    params:
        cfg=section("texts"),
        code=code("texts.py"),
    message:
        "Embedding the words of {wildcards.dataset} with CLIP"
    script:
        "../workflow/scripts/texts.py"


rule copies:
    input:
        split="<results>/{dataset}/{bias}/split.parquet",
        embeddings="<results>/{dataset}/embeddings.safetensors",
        thumbnails="<results>/{dataset}/thumbnails.safetensors",
        images=planned(job_inputs.images),
        scores=planned(job_inputs.scores),
    output:
        copies="<results>/{dataset}/{bias}/{method}/copies.parquet",
    log:
        "<logs>/copies/{dataset}-{bias}-{method}.log",
    benchmark:
        "<benchmarks>/copies/{dataset}-{bias}-{method}.jsonl"
    conda:
        "../envs/classifier.yaml"
    threads: 4
    resources:
        mem_mb=lambda wildcards, attempt: 8_000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        cfg=section("copies"),
        code=code("copies.py"),
    message:
        "Looking for near copies of training images ({wildcards.method}, {wildcards.dataset}, bias {wildcards.bias})"
    script:
        "../workflow/scripts/copies.py"


rule distinct:
    input:
        selected="<results>/{dataset}/{bias}/{method}/selected/{selection}.parquet",
        copies="<results>/{dataset}/{bias}/{method}/copies.parquet",
    output:
        distinct="<results>/{dataset}/{bias}/{method}/selected/{selection}_distinct.parquet",
    log:
        "<logs>/distinct/{dataset}-{bias}-{method}-{selection}.log",
    benchmark:
        "<benchmarks>/distinct/{dataset}-{bias}-{method}-{selection}.jsonl"
    conda:
        "../envs/classifier.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2_000 * attempt,
        runtime=lambda wildcards, attempt: 10 * attempt,
    params:
        cfg=section("nothing"),
        code=code("distinct.py"),
    message:
        "Leaving near copies out of the selection {wildcards.selection} ({wildcards.method}, {wildcards.dataset}, bias {wildcards.bias})"
    script:
        "../workflow/scripts/distinct.py"


rule quality:
    input:
        index="<results>/{dataset}/index.parquet",
        embeddings="<results>/{dataset}/embeddings.safetensors",
        texts="<results>/{dataset}/texts.safetensors",
        centroids="<results>/{dataset}/{bias}/centroids.safetensors",
        copies="<results>/{dataset}/{bias}/{method}/copies.parquet",
        selected=planned(job_inputs.selected),
        images=planned(job_inputs.images),
        scores=planned(job_inputs.scores),
    output:
        csv=report(
            "<results>/{dataset}/{bias}/{method}/quality.csv",
            caption="../workflow/report/csv.rst",
            category="Audits",
            subcategory=of_run,
            labels=label("Audit", "Numbers"),
        ),
        summary="<results>/{dataset}/{bias}/{method}/quality.json",
        sheet=report(
            "<results>/figures/quality-{dataset}-{bias}-{method}.png",
            caption="../workflow/report/quality.rst",
            category="Audits",
            subcategory=of_run,
            labels=label("Audit", "Best, cut and worst"),
        ),
        pairs=report(
            "<results>/figures/copies-{dataset}-{bias}-{method}.png",
            caption="../workflow/report/copies.rst",
            category="Audits",
            subcategory=of_run,
            labels=label("Audit", "Closest pairs"),
        ),
    log:
        "<logs>/quality/{dataset}-{bias}-{method}.log",
    benchmark:
        "<benchmarks>/quality/{dataset}-{bias}-{method}.jsonl"
    conda:
        "../envs/classifier.yaml"
    threads: 2
    resources:
        mem_mb=lambda wildcards, attempt: 8_000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        cfg=section("quality"),
        code=code("quality.py"),
    message:
        "Auditing the images of {wildcards.method} ({wildcards.dataset}, bias {wildcards.bias})"
    script:
        "../workflow/scripts/quality.py"


# The longer name is made of the shorter one's file.
ruleorder: distinct > select
