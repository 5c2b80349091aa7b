# Parts of a grid by name: `snakemake --cores 2 -- students`. The stages of dvc.yaml are these.
for target, reached in TARGETS.items():

    rule:
        name:
            target
        input:
            files(artefact for stage in stages_of(target) for artefact in PLAN.of(stage.name)),
        message:
            reached


# Every cell of the grid as a run in MLflow. A server that does not answer fails nothing: what it says is shown, and the
# next call of Snakemake tracks again.
rule track:
    input:
        tracked(),
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
