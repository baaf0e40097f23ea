# One adapter per subject. A job trains its own together with those of its mates that are missing, see
# src/fairdream/diffusion/finetune.py; what it trains beside its own is no param, so a pool makes nothing stale. One at a time is
# what a CPU repeats to the bit, whatever was killed; profiles/slurm has the pools of GPUs.


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
        runtime=minutes_of_an_adapter,
        pool=1,
        mates=jobs_here,
        store=STORE,
    params:
        cfg=section("finetune"),
        code=code("finetune.py"),
    message:
        "Training the adapter of {wildcards.subject} ({wildcards.method}, {wildcards.dataset}, bias {wildcards.bias})"
    script:
        "../workflow/scripts/finetune.py"
