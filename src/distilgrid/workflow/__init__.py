"""The Snakemake workflow: rules, schemas, captions, and its opening."""
