"""Measures of masks against the truth."""
