# The classifiers: stage 1, stage 2 and their test.


rule pretrain:
    input:
        unpack(planned(job_inputs.stage1_images)),
        weights=model("encoder"),
    output:
        stage1="<results>/{dataset}/{bias}/{method}/classifiers/{selection}-{loss}/seed{seed}/stage1.safetensors",
    log:
        "<logs>/pretrain/{dataset}-{bias}-{method}-{selection}-{loss}-seed{seed}.log",
    benchmark:
        "<benchmarks>/pretrain/{dataset}-{bias}-{method}-{selection}-{loss}-seed{seed}.jsonl"
    conda:
        "../envs/classifier.yaml"
    threads: 4
    resources:
        gpu=1,
        mem_mb=lambda wildcards, attempt: 16_000 * attempt,
        runtime=lambda wildcards, attempt: 240 * attempt,
    params:
        cfg=section("pretrain"),
        code=code("pretrain.py"),
    message:
        "Stage 1 of {wildcards.method} on {wildcards.selection} images with {wildcards.loss}, seed {wildcards.seed} ({wildcards.dataset}, bias {wildcards.bias})"
    script:
        "../workflow/scripts/pretrain.py"


rule retrain:
    input:
        unpack(planned(job_inputs.stage2_images)),
        stage1="<results>/{dataset}/{bias}/{method}/classifiers/{selection}-{loss}/seed{seed}/stage1.safetensors",
    output:
        weights="<results>/{dataset}/{bias}/{method}/classifiers/{selection}-{loss}/seed{seed}/{recipe}.safetensors",
        predictions="<results>/{dataset}/{bias}/{method}/classifiers/{selection}-{loss}/seed{seed}/{recipe}.predictions.parquet",
    log:
        "<logs>/retrain/{dataset}-{bias}-{method}-{selection}-{loss}-seed{seed}-{recipe}.log",
    benchmark:
        "<benchmarks>/retrain/{dataset}-{bias}-{method}-{selection}-{loss}-seed{seed}-{recipe}.jsonl"
    conda:
        "../envs/classifier.yaml"
    threads: 4
    resources:
        gpu=1,
        mem_mb=lambda wildcards, attempt: 16_000 * attempt,
        runtime=lambda wildcards, attempt: 120 * attempt,
    params:
        cfg=section("retrain"),
        code=code("retrain.py"),
    message:
        "Stage 2 ({wildcards.recipe}) of {wildcards.method} on {wildcards.selection} images with {wildcards.loss}, seed {wildcards.seed} ({wildcards.dataset}, bias {wildcards.bias})"
    script:
        "../workflow/scripts/retrain.py"


rule evaluate:
    input:
        predictions="<results>/{dataset}/{bias}/{method}/classifiers/{selection}-{loss}/seed{seed}/{recipe}.predictions.parquet",
    output:
        metrics="<results>/{dataset}/{bias}/{method}/classifiers/{selection}-{loss}/seed{seed}/{recipe}.metrics.json",
    log:
        "<logs>/evaluate/{dataset}-{bias}-{method}-{selection}-{loss}-seed{seed}-{recipe}.log",
    benchmark:
        "<benchmarks>/evaluate/{dataset}-{bias}-{method}-{selection}-{loss}-seed{seed}-{recipe}.jsonl"
    conda:
        "../envs/classifier.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1_000 * attempt,
        runtime=10,
    params:
        cfg=section("evaluate"),
        code=code("evaluate.py"),
    message:
        "Testing {wildcards.method} ({wildcards.selection}, {wildcards.loss}, {wildcards.recipe}), seed {wildcards.seed} ({wildcards.dataset}, bias {wildcards.bias})"
    script:
        "../workflow/scripts/evaluate.py"


rule export:
    input:
        unpack(planned(job_inputs.row_classifiers)),
    output:
        model="<results>/{dataset}/{bias}/{method}/model/model.safetensors",
        settings="<results>/{dataset}/{bias}/{method}/model/config.json",
        card="<results>/{dataset}/{bias}/{method}/model/README.md",
    log:
        "<logs>/export/{dataset}-{bias}-{method}.log",
    benchmark:
        "<benchmarks>/export/{dataset}-{bias}-{method}.jsonl"
    conda:
        "../envs/classifier.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2_000 * attempt,
        runtime=10,
    params:
        cfg=section("export"),
        code=code("export.py"),
    message:
        "Taking away the classifier of {wildcards.method} ({wildcards.dataset}, bias {wildcards.bias})"
    script:
        "../workflow/scripts/export.py"
