# Rows of a task: read, checked, split.
rule prepare:
    output:
        outputs("data", DATA_FILES),
    log:
        "results/logs/{stage}/{path}-{key}.log",
    benchmark:
        "results/logs/{stage}/{path}-{key}.tsv"
    conda:
        ENVIRONMENT
    params:
        arguments=arguments,
    message:
        "preparing {wildcards.path}"
    shell:
        "exec python -m distilgrid prepare {params.arguments} > {log} 2>&1"
