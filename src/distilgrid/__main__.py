"""`python -m distilgrid` is the `distilgrid` command."""

from distilgrid.cli import main

if __name__ == "__main__":
    main()
