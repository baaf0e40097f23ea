# The share of each group's synthetic images that stage 1 learns from.


rule select:
    input:
        unpack(planned(job_inputs.scores_if_needed)),
        images=planned(job_inputs.images),
    output:
        selected="<results>/{dataset}/{bias}/{method}/selected/{selection}.parquet",
    log:
        "<logs>/select/{dataset}-{bias}-{method}-{selection}.log",
    benchmark:
        "<benchmarks>/select/{dataset}-{bias}-{method}-{selection}.jsonl"
    conda:
        "../envs/classifier.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 4_000 * attempt,
        runtime=30,
    params:
        cfg=section("select"),
        code=code("select.py"),
    message:
        "Selecting images: {wildcards.selection} ({wildcards.method}, {wildcards.dataset}, bias {wildcards.bias})"
    script:
        "../workflow/scripts/select.py"
