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
include: "workflow/rules/targets.smk"


rule all:
    default_target: True
    input:
        files([PLAN.report]),
        tracking_summary(),
    message:
        "the report and the tracked runs are made"
