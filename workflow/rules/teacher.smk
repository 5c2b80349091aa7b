# A teacher per task, fine-tuned on the labels.
rule finetune:
    input:
        inputs,
    output:
        outputs("teachers", grid.MODEL_FILES),
    params:
        arguments=arguments,
    log:
        "results/logs/{stage}/{path}-{key}.log",
    benchmark:
        "results/logs/{stage}/{path}-{key}.tsv"
    threads: PLAN.params.resources.threads
    message:
        "fine-tuning the teacher {wildcards.path}"
    shell:
        "exec python -m distilgrid finetune --params {PARAMS_FILE} --threads {threads} {params.arguments} > {log} 2>&1"


# The teacher's outputs on the training rows, recorded once for every student.
rule record:
    input:
        inputs,
    output:
        outputs("teacher-outputs", grid.RECORD_FILES),
    params:
        arguments=arguments,
    log:
        "results/logs/{stage}/{path}-{key}.log",
    benchmark:
        "results/logs/{stage}/{path}-{key}.tsv"
    threads: PLAN.params.resources.threads
    message:
        "recording the teacher {wildcards.path}"
    shell:
        "exec python -m distilgrid record --params {PARAMS_FILE} --threads {threads} {params.arguments} > {log} 2>&1"
