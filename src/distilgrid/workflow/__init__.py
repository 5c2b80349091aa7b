"""What Snakemake runs: the Snakefile with its rules, schemas and captions, how a workflow opens, and new projects."""

from pathlib import Path

SNAKEFILE = Path(__file__).resolve().with_name("Snakefile")
