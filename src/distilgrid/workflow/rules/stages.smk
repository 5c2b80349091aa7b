# One rule for each stage of the stage table, which says what it makes and what it needs.
for stage in STAGES.values():

    rule:
        name:
            f"write_{stage.name}" if stage.name in TARGETS else stage.name
        input:
            inputs,
        output:
            outputs(stage),
        log:
            "results/logs/{stage}/{path}-{key}.log",
        benchmark:
            "results/logs/{stage}/{path}-{key}.tsv"
        conda:
            ENVIRONMENT
        threads: threads_of
        resources:
            bench_slot=bench_slot,
            gpu=gpu,
        params:
            command=command,
        message:
            stage.message + " {wildcards.path}"
        shell:
            "exec python -m distilgrid {params.command} > {log} 2>&1"
