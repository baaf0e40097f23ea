# One adapter a subject.


rule finetune:
    input:
        subject=subject_file,
        model=model("diffusion"),
    output:
        adapter="<results>/{dataset}/{bias}/{method}/adapters/{subject}/pytorch_lora_weights.safetensors",
        history="<results>/{dataset}/{bias}/{method}/adapters/{subject}/history.csv",
    log:
        "<logs>/finetune/{dataset}-{bias}-{method}-{subject}.log",
    benchmark:
        "<benchmarks>/finetune/{dataset}-{bias}-{method}-{subject}.jsonl"
    conda:
        "../envs/diffusion.yaml"
    threads: 4
    resources:
        gpu=1,
        mem_mb=lambda wildcards, attempt: 16_000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
        store=STORE,
    params:
        cfg=section("finetune"),
        code=code("finetune.py"),
    message:
        "Training the adapter of {wildcards.subject} ({wildcards.method}, {wildcards.dataset}, bias {wildcards.bias})"
    script:
        "../workflow/scripts/finetune.py"
