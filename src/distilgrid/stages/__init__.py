"""The stages of the workflow: each folder declares one (`declare.py`, light) and runs it (`run.py`)."""
