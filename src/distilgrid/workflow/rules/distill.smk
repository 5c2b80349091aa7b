# One cell of the grid: a student trained by one method.
rule distill:
    input:
        inputs,
    output:
        outputs("students", MODEL_FILES),
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
        "training {wildcards.path}"
    shell:
        "exec python -m distilgrid distill --threads {threads} {params.arguments} > {log} 2>&1"
