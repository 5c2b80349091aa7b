"""Errors, artefacts, recipe keys and machine facts. Knows no machine learning and no grid."""
