"""What Snakemake runs: the Snakefile's rules, schemas, captions, and how a workflow opens."""
