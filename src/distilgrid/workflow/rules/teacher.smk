# A teacher per task, fine-tuned on the labels.
rule finetune:
    input:
        inputs,
    output:
        outputs("teachers", MODEL_FILES),
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
        "fine-tuning the teacher {wildcards.path}"
    shell:
        "exec python -m distilgrid finetune --threads {threads} {params.arguments} > {log} 2>&1"


# The teacher's outputs on the training rows, recorded once for every student.
rule record:
    input:
        inputs,
    output:
        outputs("teacher-outputs", RECORD_FILES),
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
        "recording the teacher {wildcards.path}"
    shell:
        "exec python -m distilgrid record --threads {threads} {params.arguments} > {log} 2>&1"
