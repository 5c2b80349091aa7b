# What a teacher makes of original, mixed and augmented rows, for the scatter plot of a report.
rule features:
    input:
        inputs,
    output:
        outputs("features", FEATURES_FILES),
    log:
        "results/logs/{stage}/{path}-{key}.log",
    benchmark:
        "results/logs/{stage}/{path}-{key}.tsv"
    conda:
        ENVIRONMENT
    threads: PLAN.params.resources.threads
    params:
        arguments=arguments,
    message:
        "looking at {wildcards.path}"
    shell:
        "exec python -m distilgrid features --threads {threads} {params.arguments} > {log} 2>&1"
