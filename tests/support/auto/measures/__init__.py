"""Measures of autoencoders that claims name."""
