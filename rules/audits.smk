# The audits: of the training sets before any image is drawn, and of the images once they are.


rule audit:
    input:
        splits=expand("<results>/{{dataset}}/{bias}/split.parquet", bias=plan.biases(CONFIG)),
    output:
        groups="<results>/{dataset}/audit.csv",
        association="<results>/{dataset}/audit.bias.csv",
        markdown="<results>/{dataset}/audit.md",
        figure="<results>/figures/groups-{dataset}.png",
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
