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
    message:
        "the report and the tracked runs are made"


# Prepared rows of every task.
rule data:
    input:
        files(PLAN.data.values()),
    message:
        "the data sets are prepared"


# Fine-tuned teachers and their recorded outputs.
rule teachers:
    input:
        files([*PLAN.teachers, *PLAN.teacher_outputs]),
    message:
        "the teachers are trained and recorded"


# Every cell of the grid.
rule students:
    input:
        files(PLAN.students),
    message:
        "the students are trained"


# Exports and latencies.
rule benchmarks:
    input:
        files([*PLAN.exports, *PLAN.benchmarks]),
    message:
        "the exports are checked and measured"


# Tables, plots and the page.
rule report:
    input:
        files([PLAN.report]),
    message:
        "the report is written"
