# A model in a runtime's own format, checked against torch.
rule export:
    input:
        inputs,
    output:
        outputs("exports", EXPORT_FILES),
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
        "exporting {wildcards.path}"
    shell:
        "exec python -m distilgrid export --threads {threads} {params.arguments} > {log} 2>&1"


# Latency of a teacher and its students. Takes all cores, so that nothing else of the workflow runs beside it.
rule benchmark:
    input:
        inputs,
    output:
        outputs("benchmarks", BENCHMARK_FILES),
    log:
        "results/logs/{stage}/{path}-{key}.log",
    benchmark:
        "results/logs/{stage}/{path}-{key}.tsv"
    conda:
        ENVIRONMENT
    threads: whole_machine()
    resources:
        bench_slot=1,
    params:
        arguments=arguments,
    message:
        "measuring {wildcards.path}"
    shell:
        "exec python -m distilgrid benchmark {params.arguments} > {log} 2>&1"
