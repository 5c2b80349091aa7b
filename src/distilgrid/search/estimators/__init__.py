"""Estimators: how good a candidate is, without distilling it in full."""
