"""Unlabelled texts that the teacher labels (Turc et al. 2019)."""
