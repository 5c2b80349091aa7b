# New training rows made of the old ones.
rule augment:
    input:
        inputs,
    output:
        outputs("augmented", AUGMENT_FILES),
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
        "augmenting {wildcards.path}"
    shell:
        "exec python -m distilgrid augment --threads {threads} {params.arguments} > {log} 2>&1"
