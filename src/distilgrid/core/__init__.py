"""What every part uses: errors, artefacts, recipe keys, machine facts. Knows no model and no grid."""
