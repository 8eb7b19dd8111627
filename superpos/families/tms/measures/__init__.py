"""Measures of the toy models that claims name."""
