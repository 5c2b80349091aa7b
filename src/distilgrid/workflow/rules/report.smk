# Tables, plots and the page of the whole grid.
rule write_report:
    input:
        inputs,
    output:
        [captioned(path) for path in outputs("reports", REPORT_FILES)],
    log:
        "results/logs/{stage}/{path}-{key}.log",
    benchmark:
        "results/logs/{stage}/{path}-{key}.tsv"
    conda:
        ENVIRONMENT
    params:
        arguments=arguments,
    message:
        "writing the report of {wildcards.path}"
    shell:
        "exec python -m distilgrid report --results results {params.arguments} > {log} 2>&1"


# Every cell of the grid as a run in MLflow. A server that does not answer fails nothing: what it says is shown, and the
# next call of Snakemake tracks again.
rule track:
    input:
        ancient(files([PLAN.report])),
    output:
        tracking_summary(),
    log:
        f"{RESULTS}/logs/track-{PLAN.report.key}.log",
    conda:
        ENVIRONMENT
    params:
        arguments=f"--params {PARAMS_FILE} --results {RESULTS}",
    message:
        "showing the grid in MLflow"
    shell:
        ": > {log}; exec python -m distilgrid track {params.arguments} --or-later --out {output} "
        ">> {log} 2> >(tee -a {log} >&2)"
