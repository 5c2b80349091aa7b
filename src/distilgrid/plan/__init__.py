"""Parameters to cells, artefacts, paths and recipe keys."""
