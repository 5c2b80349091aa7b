# One cell of the grid: a student trained by one method.
rule distill:
    input:
        inputs,
    output:
        outputs("students", grid.MODEL_FILES),
    params:
        arguments=arguments,
    log:
        "results/logs/{stage}/{path}-{key}.log",
    benchmark:
        "results/logs/{stage}/{path}-{key}.tsv"
    threads: PLAN.params.resources.threads
    message:
        "training {wildcards.path}"
    shell:
        "exec python -m distilgrid distill --params {PARAMS_FILE} --threads {threads} {params.arguments} > {log} 2>&1"
