# Tables, plots and the page of the whole grid.
rule write_report:
    input:
        inputs,
    output:
        outputs("reports", grid.REPORT_FILES),
    params:
        arguments=arguments,
    log:
        "results/logs/{stage}/{path}-{key}.log",
    benchmark:
        "results/logs/{stage}/{path}-{key}.tsv"
    message:
        "writing the report of {wildcards.path}"
    shell:
        "exec python -m distilgrid report --params {PARAMS_FILE} --results {RESULTS} {params.arguments} > {log} 2>&1"


# Every cell of the grid as a run in MLflow.
rule track:
    input:
        ancient(files([PLAN.report])),
    output:
        tracking_summary(),
    log:
        f"{tracking_summary()}.log",
    message:
        "showing the grid in MLflow"
    shell:
        "exec python -m distilgrid track --params {PARAMS_FILE} --results {RESULTS} --out {output} > {log} 2>&1"
