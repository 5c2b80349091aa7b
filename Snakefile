# One command makes a grid: `snakemake --cores 2` (the default grid) or `snakemake --cores 2 --configfile grids/glue_mini.yaml`.
from snakemake.utils import validate


configfile: "params.yaml"


include: "src/distilgrid/workflow/rules/common.smk"


validate(config, schema_file(), set_default=False)


include: "src/distilgrid/workflow/rules/data.smk"
include: "src/distilgrid/workflow/rules/teacher.smk"
include: "src/distilgrid/workflow/rules/augment.smk"
include: "src/distilgrid/workflow/rules/search.smk"
include: "src/distilgrid/workflow/rules/distill.smk"
include: "src/distilgrid/workflow/rules/benchmark.smk"
include: "src/distilgrid/workflow/rules/features.smk"
include: "src/distilgrid/workflow/rules/report.smk"
include: "src/distilgrid/workflow/rules/targets.smk"


rule all:
    default_target: True
    input:
        files([PLAN.report]),
        tracking_summary(),
    message:
        "the report and the tracked runs are made"
