# From a data set as its authors ship it to the training set of each bias, its CLIP embeddings, and what an attribute that
# no table has is inferred to be.


rule fetch_model:
    output:
        manifest=model("{role}"),
    log:
        "<logs>/fetch_model/{role}.log",
    benchmark:
        "<benchmarks>/fetch_model/{role}.jsonl"
    conda:
        "../envs/classifier.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2_000 * attempt,
        runtime=120,
    params:
        cfg=section("fetch_model"),
        code=code("fetch_model.py"),
    message:
        "Fetching or checking the {wildcards.role} model"
    script:
        "../workflow/scripts/fetch_model.py"


rule fetch_dataset:
    output:
        receipt="<results>/{dataset}/fetched.json",
    log:
        "<logs>/fetch_dataset/{dataset}.log",
    benchmark:
        "<benchmarks>/fetch_dataset/{dataset}.jsonl"
    conda:
        "../envs/classifier.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1_000 * attempt,
        runtime=240,
    params:
        cfg=section("fetch_dataset"),
        code=code("fetch_dataset.py"),
    message:
        "Fetching {wildcards.dataset}"
    script:
        "../workflow/scripts/fetch_dataset.py"


rule waterdigits:
    output:
        table=f"{DIGITS}/metadata.csv",
    log:
        "<logs>/waterdigits/waterdigits.log",
    benchmark:
        "<benchmarks>/waterdigits/waterdigits.jsonl"
    conda:
        "../envs/classifier.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1_000 * attempt,
        runtime=10,
    params:
        cfg=section("waterdigits"),
        code=code("waterdigits.py"),
    message:
        "Composing waterdigits from scikit-learn's digits"
    script:
        "../workflow/scripts/waterdigits.py"


rule manifest:
    input:
        tables=tables_of,
    output:
        manifest="<results>/{dataset}/manifest.parquet",
    log:
        "<logs>/manifest/{dataset}.log",
    benchmark:
        "<benchmarks>/manifest/{dataset}.jsonl"
    conda:
        "../envs/classifier.yaml"
    threads: 2
    resources:
        mem_mb=lambda wildcards, attempt: 2_000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        cfg=section("manifest"),
        code=code("manifest.py"),
    message:
        "Checking the files of {wildcards.dataset}"
    script:
        "../workflow/scripts/manifest.py"


rule index:
    input:
        manifest="<results>/{dataset}/manifest.parquet",
    output:
        index="<results>/{dataset}/index.parquet",
    log:
        "<logs>/index/{dataset}.log",
    benchmark:
        "<benchmarks>/index/{dataset}.jsonl"
    conda:
        "../envs/classifier.yaml"
    threads: 2
    resources:
        mem_mb=lambda wildcards, attempt: 4_000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        cfg=section("index"),
        code=code("index.py"),
    message:
        "Reading the tables and opening every image of {wildcards.dataset}"
    script:
        "../workflow/scripts/index.py"


rule split:
    input:
        unpack(planned(job_inputs.own_split)),
        index="<results>/{dataset}/index.parquet",
    output:
        split="<results>/{dataset}/{bias}/split.parquet",
    log:
        "<logs>/split/{dataset}-{bias}.log",
    benchmark:
        "<benchmarks>/split/{dataset}-{bias}.jsonl"
    conda:
        "../envs/classifier.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2_000 * attempt,
        runtime=10,
    params:
        cfg=section("split"),
        code=code("split.py"),
    message:
        "Choosing the training set of {wildcards.dataset} at bias {wildcards.bias}"
    script:
        "../workflow/scripts/split.py"


rule hold_back:
    input:
        split="<results>/{dataset}/{bias}/split.parquet",
    output:
        split="<results>/{dataset}/{bias}/{method}/split.parquet",
    log:
        "<logs>/hold_back/{dataset}-{bias}-{method}.log",
    benchmark:
        "<benchmarks>/hold_back/{dataset}-{bias}-{method}.jsonl"
    conda:
        "../envs/classifier.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2_000 * attempt,
        runtime=10,
    params:
        cfg=section("hold_back"),
        code=code("hold_back.py"),
    message:
        "Keeping training images of {wildcards.dataset} at bias {wildcards.bias} from stage 1 of {wildcards.method}"
    script:
        "../workflow/scripts/hold_back.py"


rule embed:
    input:
        index="<results>/{dataset}/index.parquet",
        model=model("clip"),
    output:
        embeddings="<results>/{dataset}/embeddings.safetensors",
    log:
        "<logs>/embed/{dataset}.log",
    benchmark:
        "<benchmarks>/embed/{dataset}.jsonl"
    conda:
        "../envs/diffusion.yaml"
    threads: 4
    resources:
        gpu=1,
        mem_mb=lambda wildcards, attempt: 16_000 * attempt,
        runtime=lambda wildcards, attempt: 120 * attempt,
        batch=64,
        store=STORE,
    params:
        cfg=section("embed"),
        code=code("embed.py"),
    message:
        "Embedding the training images of {wildcards.dataset} with CLIP"
    script:
        "../workflow/scripts/embed.py"


rule every_image:
    input:
        index="<results>/{dataset}/index.parquet",
    output:
        images="<results>/{dataset}/inferred/images.parquet",
    log:
        "<logs>/every_image/{dataset}.log",
    benchmark:
        "<benchmarks>/every_image/{dataset}.jsonl"
    conda:
        "../envs/classifier.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2_000 * attempt,
        runtime=10,
    params:
        cfg=section("nothing"),
        code=code("every_image.py"),
    message:
        "Listing all images of {wildcards.dataset}"
    script:
        "../workflow/scripts/every_image.py"


rule embed_all:
    input:
        index="<results>/{dataset}/inferred/images.parquet",
        model=model("clip"),
    output:
        embeddings="<results>/{dataset}/inferred/embeddings.safetensors",
    log:
        "<logs>/embed_all/{dataset}.log",
    benchmark:
        "<benchmarks>/embed_all/{dataset}.jsonl"
    conda:
        "../envs/diffusion.yaml"
    threads: 4
    resources:
        gpu=1,
        mem_mb=lambda wildcards, attempt: 16_000 * attempt,
        runtime=lambda wildcards, attempt: 120 * attempt,
        batch=64,
        store=STORE,
    params:
        cfg=section("embed"),
        code=code("embed.py"),
    message:
        "Embedding all images of {wildcards.dataset} with CLIP"
    script:
        "../workflow/scripts/embed.py"


rule infer:
    input:
        unpack(planned(job_inputs.text_encoder)),
        index="<results>/{dataset}/index.parquet",
        embeddings="<results>/{dataset}/inferred/embeddings.safetensors",
    output:
        table="<results>/{dataset}/inferred/{way}.csv",
        facts="<results>/{dataset}/inferred/{way}.json",
    log:
        "<logs>/infer/{dataset}-{way}.log",
    benchmark:
        "<benchmarks>/infer/{dataset}-{way}.jsonl"
    conda:
        "../envs/diffusion.yaml"
    threads: 2
    resources:
        mem_mb=lambda wildcards, attempt: 8_000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        cfg=section("infer"),
        code=code("infer.py"),
    message:
        "Inferring the attribute of {wildcards.dataset} ({wildcards.way})"
    script:
        "../workflow/scripts/infer.py"


rule inference_report:
    input:
        table="<results>/{dataset}/inferred/{way}.csv",
        facts="<results>/{dataset}/inferred/{way}.json",
        index="<results>/{dataset}/index.parquet",
    output:
        markdown="<results>/{dataset}/inferred/{way}.md",
        figure="<results>/{dataset}/inferred/{way}.png",
    log:
        "<logs>/inference_report/{dataset}-{way}.log",
    benchmark:
        "<benchmarks>/inference_report/{dataset}-{way}.jsonl"
    conda:
        "../envs/classifier.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2_000 * attempt,
        runtime=10,
    params:
        cfg=section("inference_report"),
        code=code("inference_report.py"),
    message:
        "Telling of the inferred attribute of {wildcards.dataset} ({wildcards.way})"
    script:
        "../workflow/scripts/inference_report.py"
