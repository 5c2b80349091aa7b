"""Model sources, students built from teachers, saving and loading."""
