# Which images each adapter learns. The one checkpoint: its member files are compared by content, so only adapters
# whose images changed are trained again.


checkpoint subjects:
    input:
        unpack(planned(job_inputs.embeddings_if_clustered)),
        split="<results>/{dataset}/{bias}/split.parquet",
    output:
        index="<results>/{dataset}/{bias}/{method}/subjects/index.json",
    log:
        "<logs>/subjects/{dataset}-{bias}-{method}.log",
    benchmark:
        "<benchmarks>/subjects/{dataset}-{bias}-{method}.jsonl"
    conda:
        "../envs/classifier.yaml"
    threads: 2
    resources:
        mem_mb=lambda wildcards, attempt: 4_000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        cfg=section("subjects"),
        code=code("subjects.py"),
    message:
        "Choosing what the adapters of {wildcards.method} learn ({wildcards.dataset}, bias {wildcards.bias})"
    script:
        "../workflow/scripts/subjects.py"


rule centroids:
    input:
        split="<results>/{dataset}/{bias}/split.parquet",
        embeddings="<results>/{dataset}/embeddings.safetensors",
    output:
        centroids="<results>/{dataset}/{bias}/centroids.safetensors",
    log:
        "<logs>/centroids/{dataset}-{bias}.log",
    benchmark:
        "<benchmarks>/centroids/{dataset}-{bias}.jsonl"
    conda:
        "../envs/classifier.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 4_000 * attempt,
        runtime=10,
    params:
        cfg=section("nothing"),
        code=code("centroids.py"),
    message:
        "Computing the centroid of each group of {wildcards.dataset} at bias {wildcards.bias}"
    script:
        "../workflow/scripts/centroids.py"
