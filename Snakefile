# One command makes a grid: `snakemake --cores 2` (the default grid) or `snakemake --cores 2 --configfile grids/glue_mini.yaml`.
from snakemake.utils import validate


configfile: "params.yaml"


include: "workflow/rules/common.smk"


validate(config, "workflow/schemas/params.schema.json", set_default=False)


include: "workflow/rules/data.smk"
include: "workflow/rules/teacher.smk"
include: "workflow/rules/augment.smk"
include: "workflow/rules/search.smk"
include: "workflow/rules/distill.smk"
include: "workflow/rules/benchmark.smk"
include: "workflow/rules/features.smk"
include: "workflow/rules/report.smk"


rule all:
    default_target: True
    input:
        files([PLAN.report]),
        tracking_summary(),
    message:
        "the report and the tracked runs are made"


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
