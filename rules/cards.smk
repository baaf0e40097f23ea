# Cards beside what is taken away: README.md files that diffusers, `datasets` and the hub read. That of the images lies above
# their folder: pandas and pyarrow take every file of a folder for Parquet.


rule adapters_card:
    input:
        adapters=planned(job_inputs.own_adapters),
    output:
        card="<results>/{dataset}/{bias}/{method}/adapters/README.md",
    log:
        "<logs>/cards/adapters-{dataset}-{bias}-{method}.log",
    benchmark:
        "<benchmarks>/cards/adapters-{dataset}-{bias}-{method}.jsonl"
    conda:
        "../envs/classifier.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2_000 * attempt,
        runtime=30,
    params:
        cfg=section("adapters_card"),
        code=code("adapters_card.py"),
    message:
        "Card of the adapters of {wildcards.method} ({wildcards.dataset}, bias {wildcards.bias})"
    script:
        "../workflow/scripts/adapters_card.py"


rule images_card:
    input:
        shards=planned(job_inputs.images_beside_card),
    output:
        card="<results>/{dataset}/{bias}/{method}/README.md",
    log:
        "<logs>/cards/images-{dataset}-{bias}-{method}.log",
    benchmark:
        "<benchmarks>/cards/images-{dataset}-{bias}-{method}.jsonl"
    conda:
        "../envs/classifier.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2_000 * attempt,
        runtime=30,
    params:
        cfg=section("images_card"),
        code=code("images_card.py"),
    message:
        "Card of the images of {wildcards.method} ({wildcards.dataset}, bias {wildcards.bias})"
    script:
        "../workflow/scripts/images_card.py"
