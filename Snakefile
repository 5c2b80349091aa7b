# One command makes a grid: `snakemake --cores 2` (the default grid) or `snakemake --cores 2 --configfile grids/glue_mini.yaml`.
from snakemake.utils import validate


configfile: "params.yaml"


include: "src/distilgrid/workflow/rules/common.smk"


validate(config, "src/distilgrid/workflow/schemas/params.schema.json", set_default=False)


include: "src/distilgrid/workflow/rules/stages.smk"
include: "src/distilgrid/workflow/rules/targets.smk"


rule all:
    default_target: True
    input:
        files([PLAN.report]),
        tracking_summary(),
    message:
        "the report and the tracked runs are made"
