"""Models: where they come from, how students are built from teachers, how they are saved."""
