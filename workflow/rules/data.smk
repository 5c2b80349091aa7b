# Rows of a task: read, checked, split.
rule prepare:
    output:
        outputs("data", grid.DATA_FILES),
    params:
        arguments=arguments,
    log:
        "results/logs/{stage}/{path}-{key}.log",
    benchmark:
        "results/logs/{stage}/{path}-{key}.tsv"
    message:
        "preparing {wildcards.path}"
    shell:
        "exec python -m distilgrid prepare --params {PARAMS_FILE} {params.arguments} > {log} 2>&1"
