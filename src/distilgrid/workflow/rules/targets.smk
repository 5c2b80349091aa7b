# Parts of a grid by name: `snakemake --cores 2 -- students`. The stages of dvc.yaml are these.
rule data:
    input:
        files(PLAN.data.values()),


rule teachers:
    input:
        files([*PLAN.teachers, *PLAN.augmented, *PLAN.teacher_outputs]),
    message:
        "the teachers are trained and recorded, the rows augmented"


rule searches:
    input:
        files([*PLAN.supernets, *PLAN.searches]),
    message:
        "architectures are found"


rule students:
    input:
        files(PLAN.students),
    message:
        "the students are trained"


rule benchmarks:
    input:
        files([*PLAN.exports, *PLAN.benchmarks, *PLAN.features]),
    message:
        "the exports are checked and measured, the rows projected"


rule report:
    input:
        files([PLAN.report]),
