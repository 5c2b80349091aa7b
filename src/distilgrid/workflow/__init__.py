"""The Snakemake workflow: rules, schemas, captions, its opening, and new projects."""

from pathlib import Path

SNAKEFILE = Path(__file__).resolve().with_name("Snakefile")
