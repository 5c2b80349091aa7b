# One command makes a grid: `snakemake --cores 2` (the default grid) or `snakemake --cores 2 --configfile grids/glue_mini.yaml`.
# The plan (cells, paths, recipe keys) comes from src/distilgrid/grid.py; the rules only say how each artefact is made.
from snakemake.utils import min_version, validate

min_version("9.0")


configfile: "params.yaml"


validate(config, "workflow/schemas/params.schema.json", set_default=False)


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/teacher.smk"
include: "workflow/rules/distill.smk"
include: "workflow/rules/benchmark.smk"
include: "workflow/rules/report.smk"


localrules:
    all,
    data,
    teachers,
    students,
    benchmarks,
    report,


# Everything: the report, and the grid in MLflow.
rule all:
    default_target: True
    input:
        files([PLAN.report]),
        tracking_summary(),


# Prepared rows of every task.
rule data:
    input:
        files(PLAN.data.values()),


# Fine-tuned teachers and their recorded outputs.
rule teachers:
    input:
        files([*PLAN.teachers, *PLAN.teacher_outputs]),


# Every cell of the grid.
rule students:
    input:
        files(PLAN.students),


# Exports and latencies.
rule benchmarks:
    input:
        files([*PLAN.exports, *PLAN.benchmarks]),


# Tables, plots and the page.
rule report:
    input:
        files([PLAN.report]),
