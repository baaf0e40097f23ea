# The functions of the report and the cards; those of the other rules are in common.smk.


def adapters_of(wildcards):
    """A method's own adapters, for their card."""
    row, own = method_of(wildcards.method), plan.adapter_method(wildcards.method)
    if row.subjects is None or own != wildcards.method:
        whose = f", but those of {own}" if row.subjects else ""
        sys.exit(f"\n{wildcards.method} has no adapters of its own{whose}.\n")
    subjects = {s.subject for s in plan.shards(CONFIG, wildcards.dataset, wildcards.bias, wildcards.method)}
    folder = f"{wildcards.dataset}/{wildcards.bias}/{wildcards.method}/adapters"
    return [at(folder, f"{subject}/pytorch_lora_weights.safetensors") for subject in sorted(subjects)]


def images_of(wildcards):
    """A method's images, for their card, which lies in their folder."""
    if not method_of(wildcards.method).synthetic:
        sys.exit(f"\n{wildcards.method} draws no images.\n")
    bias = plan.image_bias(wildcards.method, wildcards.bias)
    if bias != wildcards.bias:
        folder = at(f"{wildcards.dataset}/{bias}/{wildcards.method}", "images/README.md")
        sys.exit(f"\nThe images of {wildcards.method} serve all biases: ask for {folder}\n")
    return shards_of("images")(wildcards)


def curves_of_adapters():
    """Return the training curves: one figure for each method with adapters of its own."""
    names = []
    for dataset in CONFIG.datasets:
        for bias in plan.biases(CONFIG):
            own = [method for method in plan.compared_methods(CONFIG) if plan.exists_at(CONFIG, dataset, bias, method)]
            names += [f"{CONFIG.results}/figures/training-{dataset}-{bias}-{method}.png" for method in own]
    return names


def histories_of(wildcards):
    return [str(Path(path).with_name("history.csv")) for path in adapters_of(wildcards)]


def pages_to_report(wildcards):
    """Return the pages that Table 1's run has, and those of other tables whose classifiers are there already.

    A report must not begin to train what its reader did not ask for.
    """
    names = ["table1", "table3", "uncertainty", "hours", "configuration", "versions"]
    more = {"ablations": metrics_of_ablations(wildcards)}
    if plan.severe_biases(CONFIG):
        more["table2"] = metrics_of(TABLE2, plan.severe_biases(CONFIG))
    names += [name for name, metrics in more.items() if all(Path(path).is_file() for path in metrics)]
    return [f"{CONFIG.results}/tables/{name}.html" for name in names]


def audits_to_report(wildcards):
    """Return the audits of the training sets, and of images whose scores Table 1's run has.

    FFR's images are selected without CLIP: scoring them takes a GPU, so they are shown where `audits` was asked for.
    """
    names = [f"{CONFIG.results}/{dataset}/audit.html" for dataset in CONFIG.datasets]
    for dataset, bias, method in audited_images():
        audit = at(f"{dataset}/{bias}/{method}", "quality.csv")
        names += [audit] if method_of(method).selection == "clip" or Path(audit).is_file() else []
    return names


def of_run(wildcards):
    """Return the subcategory of the report in which a data set's results at one bias are."""
    return f"{wildcards.dataset}, bias {wildcards.bias}"


def label(kind, *words):
    """Return the label of a result in the report: its kind, and what sets it apart from all others of that kind.

    One label each: where two alternate, Snakemake's viewer makes a switch of them and fails when a pair lacks one.
    """

    def of(wildcards):
        names = dict(wildcards)
        own = [method_of(names["method"]).title] if "method" in names else []
        own += [names[key] for key in ("group", "dataset", "bias") if key in names]
        return {kind: " · ".join([*words, *own])}

    return of


def page_category(wildcards):
    return PAGES[wildcards.table].category


def page_subcategory(wildcards):
    return PAGES[wildcards.table].subcategory


def page_label(wildcards):
    return {PAGES[wildcards.table].kind: PAGES[wildcards.table].title}
