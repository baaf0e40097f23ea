# The synthetic images, in shards, and their CLIP scores.


rule generate:
    input:
        unpack(planned(job_inputs.adapter_if_any)),
        model=model("diffusion"),
    output:
        images="<results>/{dataset}/{bias}/{method}/images/{group}/{subject}/{shard}.parquet",
    log:
        "<logs>/generate/{dataset}-{bias}-{method}-{group}-{subject}-{shard}.log",
    benchmark:
        "<benchmarks>/generate/{dataset}-{bias}-{method}-{group}-{subject}-{shard}.jsonl"
    conda:
        "../envs/diffusion.yaml"
    threads: 4
    resources:
        gpu=1,
        mem_mb=lambda wildcards, attempt: 16_000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
        batch=16,
        store=STORE,
    params:
        cfg=section("generate"),
        code=code("generate.py"),
    message:
        "Drawing {wildcards.group} images {wildcards.shard} from {wildcards.subject} ({wildcards.method}, {wildcards.dataset}, bias {wildcards.bias})"
    script:
        "../workflow/scripts/generate.py"


rule score:
    input:
        images="<results>/{dataset}/{bias}/{method}/images/{group}/{subject}/{shard}.parquet",
        model=model("clip"),
    output:
        scores="<results>/{dataset}/{bias}/{method}/scores/{group}/{subject}/{shard}.parquet",
    log:
        "<logs>/score/{dataset}-{bias}-{method}-{group}-{subject}-{shard}.log",
    benchmark:
        "<benchmarks>/score/{dataset}-{bias}-{method}-{group}-{subject}-{shard}.jsonl"
    conda:
        "../envs/diffusion.yaml"
    threads: 4
    resources:
        gpu=1,
        mem_mb=lambda wildcards, attempt: 16_000 * attempt,
        runtime=lambda wildcards, attempt: 10 * attempt,
        batch=64,
    params:
        cfg=section("score"),
        code=code("score.py"),
    message:
        "Scoring {wildcards.group} images {wildcards.shard} of {wildcards.subject} ({wildcards.method}, {wildcards.dataset}, bias {wildcards.bias})"
    script:
        "../workflow/scripts/score.py"
