# A model in a runtime's own format, checked against torch.
rule export:
    input:
        inputs,
    output:
        outputs("exports", grid.EXPORT_FILES),
    params:
        arguments=arguments,
    log:
        "results/logs/{stage}/{path}-{key}.log",
    benchmark:
        "results/logs/{stage}/{path}-{key}.tsv"
    threads: PLAN.params.resources.threads
    message:
        "exporting {wildcards.path}"
    shell:
        "exec python -m distilgrid export --params {PARAMS_FILE} --threads {threads} {params.arguments} > {log} 2>&1"


# Latency of a teacher and its students. Takes all cores, so that nothing else of the workflow runs beside it.
rule benchmark:
    input:
        inputs,
    output:
        outputs("benchmarks", grid.BENCHMARK_FILES),
    params:
        arguments=arguments,
    log:
        "results/logs/{stage}/{path}-{key}.log",
    benchmark:
        "results/logs/{stage}/{path}-{key}.tsv"
    threads: workflow.cores
    resources:
        bench_slot=1,
    message:
        "measuring {wildcards.path}"
    shell:
        "exec python -m distilgrid benchmark --params {PARAMS_FILE} {params.arguments} > {log} 2>&1"
