"""The stages; each reads named files and writes named files."""
