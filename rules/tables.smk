# The tables and figures of the paper.


rule tabulate:
    input:
        metrics=planned(targets.table1_metrics),
    output:
        csv=report(
            "<results>/tables/table1.csv",
            caption="../workflow/report/csv.rst",
            category="Tables",
            subcategory="As CSV",
            labels={"CSV": "Table 1"},
        ),
        markdown="<results>/tables/table1.md",
        latex="<results>/tables/table1.tex",
    log:
        "<logs>/tables/tabulate.log",
    benchmark:
        "<benchmarks>/tables/tabulate.jsonl"
    conda:
        "../envs/classifier.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2_000 * attempt,
        runtime=30,
    params:
        cfg=section("tabulate"),
        code=code("tabulate.py"),
    message:
        "Writing Table 1"
    script:
        "../workflow/scripts/tabulate.py"


rule table2:
    input:
        metrics=planned(targets.table2_metrics),
    output:
        csv=report(
            "<results>/tables/table2.csv",
            caption="../workflow/report/csv.rst",
            category="Tables",
            subcategory="As CSV",
            labels={"CSV": "Table 2"},
        ),
        markdown="<results>/tables/table2.md",
        latex="<results>/tables/table2.tex",
    log:
        "<logs>/tables/table2.log",
    benchmark:
        "<benchmarks>/tables/table2.jsonl"
    conda:
        "../envs/classifier.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2_000 * attempt,
        runtime=30,
    params:
        cfg=section("tabulate"),
        code=code("tabulate.py"),
    message:
        "Writing Table 2"
    script:
        "../workflow/scripts/tabulate.py"


rule cost:
    input:
        metrics=planned(targets.table1_metrics),
    output:
        csv=report(
            "<results>/tables/table3.csv",
            caption="../workflow/report/csv.rst",
            category="Tables",
            subcategory="As CSV",
            labels={"CSV": "Table 3"},
        ),
        markdown="<results>/tables/table3.md",
    log:
        "<logs>/tables/cost.log",
    benchmark:
        "<benchmarks>/tables/cost.jsonl"
    conda:
        "../envs/classifier.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2_000 * attempt,
        runtime=30,
    params:
        cfg=section("benchmarks"),
        code=code("cost.py"),
    message:
        "Writing Table 3"
    script:
        "../workflow/scripts/cost.py"


rule ablate:
    input:
        metrics=planned(targets.ablation_metrics),
    output:
        csv=report(
            "<results>/tables/ablations.csv",
            caption="../workflow/report/csv.rst",
            category="Tables",
            subcategory="As CSV",
            labels={"CSV": "Ablations"},
        ),
        markdown="<results>/tables/ablations.md",
    log:
        "<logs>/tables/ablate.log",
    benchmark:
        "<benchmarks>/tables/ablate.jsonl"
    conda:
        "../envs/classifier.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2_000 * attempt,
        runtime=30,
    params:
        cfg=section("ablate"),
        code=code("ablate.py"),
    message:
        "Writing the table of ablations"
    script:
        "../workflow/scripts/ablate.py"


rule uncertainty:
    input:
        metrics=planned(targets.table1_metrics),
        predictions=planned(targets.table1_predictions),
    output:
        csv=report(
            "<results>/tables/uncertainty.csv",
            caption="../workflow/report/csv.rst",
            category="Tables",
            subcategory="As CSV",
            labels={"CSV": "Intervals"},
        ),
        markdown="<results>/tables/uncertainty.md",
    log:
        "<logs>/tables/uncertainty.log",
    benchmark:
        "<benchmarks>/tables/uncertainty.jsonl"
    conda:
        "../envs/classifier.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2_000 * attempt,
        runtime=30,
    params:
        cfg=section("uncertainty"),
        code=code("uncertainty.py"),
    message:
        "Drawing intervals of the worst-group accuracies"
    script:
        "../workflow/scripts/uncertainty.py"


rule contact_sheet:
    input:
        split="<results>/{dataset}/{bias}/split.parquet",
        selected=planned(job_inputs.selected),
    output:
        figure=report(
            "<results>/figures/{dataset}-{bias}-{method}.png",
            caption="../workflow/report/contact_sheet.rst",
            category="Contact sheets",
            subcategory=of_run,
            labels=label("Contact sheet"),
        ),
    log:
        "<logs>/figures/{dataset}-{bias}-{method}.log",
    benchmark:
        "<benchmarks>/figures/{dataset}-{bias}-{method}.jsonl"
    conda:
        "../envs/classifier.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2_000 * attempt,
        runtime=30,
    params:
        cfg=section("figure"),
        code=code("contact_sheet.py"),
    message:
        "Contact sheet of {wildcards.method} ({wildcards.dataset}, bias {wildcards.bias})"
    script:
        "../workflow/scripts/contact_sheet.py"


rule compare:
    input:
        split="<results>/{dataset}/{bias}/split.parquet",
        selections=planned(job_inputs.compared_selections),
    output:
        figure=report(
            "<results>/figures/compare-{dataset}-{bias}-{group}.png",
            caption="../workflow/report/compare.rst",
            category="Comparisons",
            subcategory=of_run,
            labels=label("Comparison"),
        ),
    log:
        "<logs>/figures/compare-{dataset}-{bias}-{group}.log",
    benchmark:
        "<benchmarks>/figures/compare-{dataset}-{bias}-{group}.jsonl"
    conda:
        "../envs/classifier.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2_000 * attempt,
        runtime=30,
    params:
        cfg=section("compare"),
        code=code("compare.py"),
    message:
        "Comparing the methods' images of {wildcards.group} ({wildcards.dataset}, bias {wildcards.bias})"
    script:
        "../workflow/scripts/compare.py"


rule clusters:
    input:
        index="<results>/{dataset}/{bias}/{method}/subjects/index.json",
    output:
        figure=report(
            "<results>/figures/clusters-{dataset}-{bias}-{method}.png",
            caption="../workflow/report/clusters.rst",
            category="Clusters",
            subcategory=of_run,
            labels=label("Clusters"),
        ),
    log:
        "<logs>/figures/clusters-{dataset}-{bias}-{method}.log",
    benchmark:
        "<benchmarks>/figures/clusters-{dataset}-{bias}-{method}.jsonl"
    conda:
        "../envs/classifier.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2_000 * attempt,
        runtime=30,
    params:
        cfg=section("figure"),
        code=code("clusters.py"),
    message:
        "Sheet of what the adapters of {wildcards.method} learn ({wildcards.dataset}, bias {wildcards.bias})"
    script:
        "../workflow/scripts/clusters.py"


rule scores:
    input:
        scores=planned(job_inputs.scores),
        selected="<results>/{dataset}/{bias}/{method}/selected/clip.parquet",
    output:
        figure=report(
            "<results>/figures/scores-{dataset}-{bias}-{method}.png",
            caption="../workflow/report/scores.rst",
            category="CLIP scores",
            subcategory=of_run,
            labels=label("CLIP scores"),
        ),
    log:
        "<logs>/figures/scores-{dataset}-{bias}-{method}.log",
    benchmark:
        "<benchmarks>/figures/scores-{dataset}-{bias}-{method}.jsonl"
    conda:
        "../envs/classifier.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2_000 * attempt,
        runtime=30,
    params:
        cfg=section("nothing"),
        code=code("scores.py"),
    message:
        "Histograms of the CLIP scores of {wildcards.method} ({wildcards.dataset}, bias {wildcards.bias})"
    script:
        "../workflow/scripts/scores.py"


rule bias_curves:
    input:
        table="<results>/tables/table1.csv",
    output:
        figure=report(
            "<results>/figures/bias.png",
            caption="../workflow/report/bias_curves.rst",
            category="Figures",
            labels={"Figure": "Accuracy against bias"},
        ),
    log:
        "<logs>/figures/bias.log",
    benchmark:
        "<benchmarks>/figures/bias.jsonl"
    conda:
        "../envs/classifier.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2_000 * attempt,
        runtime=30,
    params:
        cfg=section("nothing"),
        code=code("curve.py"),
    message:
        "Drawing accuracy against bias"
    script:
        "../workflow/scripts/curve.py"


rule cost_curve:
    input:
        table="<results>/tables/table3.csv",
    output:
        figure=report(
            "<results>/figures/cost.png",
            caption="../workflow/report/cost_curve.rst",
            category="Costs",
            labels={"Costs": "Accuracy against hours"},
        ),
    log:
        "<logs>/figures/cost.log",
    benchmark:
        "<benchmarks>/figures/cost.jsonl"
    conda:
        "../envs/classifier.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2_000 * attempt,
        runtime=30,
    params:
        cfg=section("nothing"),
        code=code("curve.py"),
    message:
        "Drawing accuracy against cost"
    script:
        "../workflow/scripts/curve.py"
