"""DistilGrid: compress language models reproducibly, one grid file and one command at a time."""

__version__ = "0.1.0"
