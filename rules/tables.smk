# The tables and figures of the paper.


rule tabulate:
    input:
        metrics=metrics_of_table1,
    output:
        csv="<results>/tables/table1.csv",
        markdown="<results>/tables/table1.md",
        latex="<results>/tables/table1.tex",
    log:
        "<logs>/tabulate/table1.log",
    benchmark:
        "<benchmarks>/tabulate/table1.jsonl"
    conda:
        "../envs/classifier.yaml"
    threads: 1
    resources:
        mem_mb=1_000,
        runtime=10,
    params:
        cfg=section("tabulate"),
        code=code("tabulate.py"),
    message:
        "Writing Table 1"
    script:
        "../workflow/scripts/tabulate.py"


rule plot:
    input:
        split="<results>/{dataset}/{bias}/split.parquet",
        selected="<results>/{dataset}/{bias}/{method}/selected/clip.parquet",
    output:
        figure="<results>/figures/{dataset}-{bias}-{method}.png",
    log:
        "<logs>/plot/{dataset}-{bias}-{method}.log",
    benchmark:
        "<benchmarks>/plot/{dataset}-{bias}-{method}.jsonl"
    conda:
        "../envs/classifier.yaml"
    threads: 1
    resources:
        mem_mb=2_000,
        runtime=10,
    params:
        cfg=section("plot"),
        code=code("plot.py"),
    message:
        "Contact sheet of {wildcards.method} ({wildcards.dataset}, bias {wildcards.bias})"
    script:
        "../workflow/scripts/plot.py"
