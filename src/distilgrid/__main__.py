"""`python -m distilgrid` is the `distilgrid` command, and how a workflow starts its jobs: warm where it can."""

import sys

from distilgrid.jobs.warm.client import run_warm

if __name__ == "__main__":
    code = run_warm(sys.argv[1:])
    if code is not None:
        sys.exit(code)
    from distilgrid.cli.app import main

    main()
