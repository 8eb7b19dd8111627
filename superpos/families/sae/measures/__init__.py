"""Measures of dictionaries that claims name."""
