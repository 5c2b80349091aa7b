"""Estimators of a candidate's quality, without distilling it in full."""
