"""From parameters to a plan: cells, artefacts, paths and recipe keys."""
