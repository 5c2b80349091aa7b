# One command makes a grid: `snakemake --cores 2` (params.yaml alone) or `snakemake --cores 2 --configfile grids/mine.yaml`.
from distilgrid.workflow import SNAKEFILE


include: str(SNAKEFILE)


rule all:
    input:
        FINISHED,
    message:
        "the report and the tracked runs are made"
