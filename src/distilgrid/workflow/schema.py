"""The JSON Schema that Snakemake checks parameters against."""

from importlib.metadata import entry_points
from pathlib import Path

from distilgrid.plan.params import schema_text

PACKAGED = Path(__file__).parent / "schemas" / "params.schema.json"
WRITTEN = Path(".snakemake") / "params.schema.json"


def schema_file() -> str:
    """The packaged schema; where packages add features, a schema with their settings, written for this workflow."""
    if not any(group.startswith("distilgrid.") for group in entry_points().groups):
        return str(PACKAGED)
    WRITTEN.parent.mkdir(exist_ok=True)
    text = schema_text()
    if not WRITTEN.exists() or WRITTEN.read_text(encoding="utf-8") != text:
        WRITTEN.write_text(text, encoding="utf-8")
    return str(WRITTEN.resolve())
