# A predictor of latency: random shapes of a space, timed. Takes all cores, so that nothing else of the workflow runs beside it.
rule latency:
    output:
        outputs("latencies", LATENCY_FILES),
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
        "measuring shapes for {wildcards.path}"
    shell:
        "exec python -m distilgrid latency {params.arguments} > {log} 2>&1"


# One model that holds every architecture of a space.
rule supernet:
    input:
        inputs,
    output:
        outputs("supernets", SUPERNET_FILES),
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
        "training the supernet {wildcards.path}"
    shell:
        "exec python -m distilgrid supernet --threads {threads} {params.arguments} > {log} 2>&1"


# One candidate of a search, where `resources.candidate_jobs` asks for jobs of their own: those of an episode run side by side.
rule candidate:
    input:
        inputs,
    output:
        outputs("candidates", CANDIDATE_FILES),
    log:
        "results/logs/{stage}/{path}-{key}.log",
    benchmark:
        "results/logs/{stage}/{path}-{key}.tsv"
    conda:
        ENVIRONMENT
    threads: lambda wildcards: whole_machine() if measures(wildcards) else PLAN.params.resources.threads
    params:
        arguments=arguments,
        threads=PLAN.params.resources.threads,
    message:
        "trying {wildcards.path}"
    shell:
        "exec python -m distilgrid candidate --threads {params.threads} {params.arguments} > {log} 2>&1"


# A search of architectures. One that times candidates itself takes all cores.
rule search:
    input:
        inputs,
    output:
        outputs("searches", SEARCH_FILES),
    log:
        "results/logs/{stage}/{path}-{key}.log",
    benchmark:
        "results/logs/{stage}/{path}-{key}.tsv"
    conda:
        ENVIRONMENT
    threads: lambda wildcards: whole_machine() if measures(wildcards) else PLAN.params.resources.threads
    params:
        arguments=arguments,
        threads=PLAN.params.resources.threads,
    message:
        "searching {wildcards.path}"
    shell:
        "exec python -m distilgrid search --threads {params.threads} {params.arguments} > {log} 2>&1"
